package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kerrors "k8s.io/apimachinery/pkg/util/errors"
	"sigs.k8s.io/cluster-api/util/patch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	clusterLabel        = "cluster.x-k8s.io/cluster-name"
	nodeReuseLabel      = "infrastructure.cluster.x-k8s.io/node-reuse"
	blockMoveAnnotation = "clusterctl.cluster.x-k8s.io/block-move"
	pausedAnnotation    = "baremetalhost.metal3.io/paused"
	statusAnnotation    = "baremetalhost.metal3.io/status"
	unhealthyAnnotation = "capm3.metal3.io/unhealthy"
	infrastructure      = "infrastructure.cluster.x-k8s.io/v1beta1"
)

// consumer acts for one Metal3Machine as Cluster API's Metal3 provider does. It reads without a
// cache, writes one merge patch without resourceVersion at a time, and waits for the informer's
// events.
type consumer struct {
	client   client.Client
	hosts    *watched
	machine  reference
	cluster  string
	selector map[string]string
	deadline time.Duration
	report   *report
}

// reference identifies the object that a consumerRef names.
type reference struct{ apiVersion, kind, namespace, name string }

func (r reference) object() *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: r.apiVersion, Kind: r.kind, Namespace: r.namespace, Name: r.name}
}

func (r reference) is(other *corev1.ObjectReference) bool {
	return other != nil && *other == *r.object()
}

// fresh reads a host without any cache.
func (c *consumer) fresh(ctx context.Context, name string) (*BareMetalHost, error) {
	host := &BareMetalHost{}
	err := c.client.Get(ctx, c.key(name), host)
	return host, err
}

func (c *consumer) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: c.machine.namespace, Name: name}
}

// change reads the host again, applies `edit` to it, and writes the difference by Cluster API's
// patch helper.
func (c *consumer) change(ctx context.Context, name string, edit func(*BareMetalHost)) error {
	host, err := c.fresh(ctx, name)
	if err != nil {
		return err
	}
	return c.write(ctx, host, edit)
}

func (c *consumer) write(ctx context.Context, host *BareMetalHost, edit func(*BareMetalHost)) error {
	helper, err := patch.NewHelper(host, c.client)
	if err != nil {
		return err
	}
	edit(host)
	return helper.Patch(ctx, host)
}

// settled checks that `edit` changes nothing any more. The provider asserts the desired fields at
// every reconcile, and would write forever to a server that does not keep them.
func (c *consumer) settled(ctx context.Context, name string, edit func(*BareMetalHost)) error {
	before, err := c.fresh(ctx, name)
	if err != nil {
		return err
	}
	after := copyOf(before)
	edit(after)
	data, err := client.MergeFrom(before).Data(after)
	if err != nil {
		return err
	}
	if string(data) != "{}" {
		return fmt.Errorf("%s: what was written did not stay: asserting it again would send %s", name, data)
	}
	return nil
}

// wait is hosts.await for one of this consumer's hosts. A host that is gone never satisfies the
// condition.
func (c *consumer) wait(ctx context.Context, name, what string, wanted func(*BareMetalHost) bool) (*BareMetalHost, error) {
	there := func(host *BareMetalHost) bool { return host != nil && wanted(host) }
	return c.hosts.await(ctx, c.key(name), c.deadline, what, there)
}

func (c *consumer) waitState(ctx context.Context, name, state string) (*BareMetalHost, error) {
	return c.wait(ctx, name, "state "+state, func(host *BareMetalHost) bool { return host.Status.Provisioning.State == state })
}

// raw reads a host without a Go type, so that it contains exactly the served fields.
func (c *consumer) raw(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(groupVersion.WithKind("BareMetalHost"))
	err := c.client.Get(ctx, c.key(name), object)
	return object, err
}

// lost returns whether the error means that another consumer was faster to claim the host. The
// patch helper aggregates its errors, so each of them is examined.
func lost(err error) bool {
	var several kerrors.Aggregate
	if errors.As(err, &several) {
		return len(several.Errors()) > 0 && !slices.ContainsFunc(several.Errors(), func(err error) bool { return !lost(err) })
	}
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err)
}
