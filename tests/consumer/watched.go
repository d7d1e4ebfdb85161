package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// watched records the hosts' states that the informer of all namespaces has shown. It waits for
// events only, and never polls: a missing MODIFIED is a deviation.
type watched struct {
	mutex   sync.Mutex
	latest  map[client.ObjectKey]*BareMetalHost
	states  map[client.ObjectKey][]told
	changed chan struct{}
}

// told is one shown state of a host, and whether the host had no image in spec then.
type told struct {
	state string
	empty bool
}

// watch starts to record all hosts of the running cache `hosts`.
func watch(ctx context.Context, hosts cache.Cache) (*watched, error) {
	w := &watched{latest: map[client.ObjectKey]*BareMetalHost{}, states: map[client.ObjectKey][]told{}, changed: make(chan struct{})}
	informer, err := hosts.GetInformer(ctx, &BareMetalHost{})
	if err != nil {
		return nil, err
	}
	handler, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { w.put(object.(*BareMetalHost)) },
		UpdateFunc: func(_, object any) { w.put(object.(*BareMetalHost)) },
		DeleteFunc: w.drop,
	})
	if err != nil {
		return nil, err
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
		return nil, fmt.Errorf("the informer did not get its first list before the deadline")
	}
	return w, nil
}

func (w *watched) put(host *BareMetalHost) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	key := client.ObjectKeyFromObject(host)
	w.latest[key] = host
	w.tell(key, told{host.Status.Provisioning.State, host.Spec.Image == nil})
}

func (w *watched) drop(object any) {
	if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	key := client.ObjectKeyFromObject(object.(*BareMetalHost))
	delete(w.latest, key)
	w.tell(key, told{"(deleted)", true})
}

// tell records a state and wakes all waiting callers. The caller must hold the mutex.
func (w *watched) tell(key client.ObjectKey, state told) {
	if known := w.states[key]; len(known) == 0 || known[len(known)-1] != state {
		w.states[key] = append(known, state)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// count returns the number of known hosts of a namespace.
func (w *watched) count(namespace string) int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	found := 0
	for key := range w.latest {
		if key.Namespace == namespace {
			found++
		}
	}
	return found
}

// mark returns the number of states that were shown of a host so far, for emptiedSince.
func (w *watched) mark(key client.ObjectKey) int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.states[key])
}

// emptiedSince returns the states after a mark that were shown of a host without an image in spec.
// It leaves out events that were under way while the image was cleared.
func (w *watched) emptiedSince(key client.ObjectKey, mark int) []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var found []string
	for _, one := range w.states[key][mark:] {
		if one.empty {
			found = append(found, one.state)
		}
	}
	return found
}

// await returns when the host satisfies `wanted`, which gets nil for a host that is gone. `what`
// names the condition for the error after `deadline`.
func (w *watched) await(
	ctx context.Context, key client.ObjectKey, deadline time.Duration, what string, wanted func(*BareMetalHost) bool,
) (*BareMetalHost, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for {
		w.mutex.Lock()
		host, changed, known := w.latest[key], w.changed, w.states[key]
		w.mutex.Unlock()
		if wanted(host) {
			if host == nil {
				return nil, nil
			}
			return copyOf(host), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: no event within %s that shows %s; states told: %v; last: %s", key, deadline, what, known, shown(host))
		}
	}
}

// awaitAny returns at the next event of any host, or an error after `deadline`.
func (w *watched) awaitAny(ctx context.Context, deadline time.Duration, what string) error {
	w.mutex.Lock()
	changed := w.changed
	w.mutex.Unlock()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case <-changed:
		return nil
	case <-timer.C:
		return fmt.Errorf("%s: and no host changes within %s", what, deadline)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
}
