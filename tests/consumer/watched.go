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

// watched is what the all-namespace informer has told of the hosts. Waiting is for its events only, never by polling: a MODIFIED that
// does not arrive is a deviation.
type watched struct {
	mutex   sync.Mutex
	latest  map[client.ObjectKey]*BareMetalHost
	states  map[client.ObjectKey][]string
	changed chan struct{}
}

// watch starts to follow all hosts that `hosts` (a cache that runs) gets.
func watch(ctx context.Context, hosts cache.Cache) (*watched, error) {
	w := &watched{latest: map[client.ObjectKey]*BareMetalHost{}, states: map[client.ObjectKey][]string{}, changed: make(chan struct{})}
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
	w.tell(key, host.Status.Provisioning.State)
}

func (w *watched) drop(object any) {
	if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	key := client.ObjectKeyFromObject(object.(*BareMetalHost))
	delete(w.latest, key)
	w.tell(key, "(deleted)")
}

// tell wakes all who wait; call it with the mutex held.
func (w *watched) tell(key client.ObjectKey, state string) {
	if told := w.states[key]; len(told) == 0 || told[len(told)-1] != state {
		w.states[key] = append(told, state)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// count is how many hosts of a namespace are known.
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

// since returns the states that were told of a host after the first `from` of them, and how many there are in all.
func (w *watched) since(key client.ObjectKey, from int) ([]string, int) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	told := w.states[key]
	return append([]string(nil), told[from:]...), len(told)
}

// await returns when an event brings the host into the wanted condition, or has done so already; `wanted` gets nil for a host that is
// gone. `what` says the condition in words, for the error after `deadline`.
func (w *watched) await(
	ctx context.Context, key client.ObjectKey, deadline time.Duration, what string, wanted func(*BareMetalHost) bool,
) (*BareMetalHost, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for {
		w.mutex.Lock()
		host, changed, told := w.latest[key], w.changed, w.states[key]
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
			return nil, fmt.Errorf("%s: no event within %s that shows %s; states told: %v; last: %s", key, deadline, what, told, shown(host))
		}
	}
}

// awaitAny returns at the next event of any host, or with an error after `deadline`.
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
