package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// hostAnnotation is the annotation of a machine that names its host as namespace/name.
const hostAnnotation = "metal3.io/BareMetalHost"

// These scenarios are the parts of a machine's life in two management clusters, when Cluster API's
// objects move from one to the other.
func init() {
	scenarios["settle"] = settle
	scenarios["keep"] = keep
	scenarios["resume"] = resume
	scenarios["retire"] = retire
}

// settle runs the part before the move: the host is provisioned, and then paused, as the provider
// leaves it for a move.
func settle(ctx context.Context, c *consumer) error {
	name, err := c.associate(ctx, "", nothing)
	if err != nil {
		return err
	}
	if err := c.render(ctx, name); err != nil {
		return err
	}
	if err := c.provision(ctx, name); err != nil {
		return err
	}
	paused := func(host *BareMetalHost) {
		setAnnotation(host, pausedAnnotation, "metal3.io/capm3")
		setAnnotation(host, statusAnnotation, statusOf(host))
		delete(host.Annotations, blockMoveAnnotation)
	}
	if err := c.change(ctx, name, paused); err != nil {
		return err
	}
	c.report.step("paused", fields{"machine": c.machine.name, "host": name})
	return nil
}

// resume runs the part after the move, and reboots the host once.
func resume(ctx context.Context, c *consumer) error {
	name, err := c.found(ctx)
	if err != nil {
		return err
	}
	if err := c.reboot(ctx, name); err != nil {
		return err
	}
	return c.kept(name)
}

// keep runs the part after the move in which the machine finds its host, and nothing happens to the
// host.
func keep(ctx context.Context, c *consumer) error {
	name, err := c.found(ctx)
	if err != nil {
		return err
	}
	return c.kept(name)
}

// found finds the host of the moved machine, and asserts the desired fields. Nothing may be
// provisioned again.
func (c *consumer) found(ctx context.Context) (string, error) {
	name, err := c.own(ctx)
	if err != nil {
		return "", err
	}
	if err := c.change(ctx, name, func(host *BareMetalHost) { delete(host.Annotations, pausedAnnotation) }); err != nil {
		return "", err
	}
	asserted := func(host *BareMetalHost) {
		setAnnotation(host, blockMoveAnnotation, "")
		setLabel(host, clusterLabel, c.cluster)
		c.wishes(host)
	}
	if err := c.change(ctx, name, asserted); err != nil {
		return "", err
	}
	return name, c.settled(ctx, name, asserted)
}

// kept checks that the watch has shown the host in no other state than provisioned.
func (c *consumer) kept(name string) error {
	if states := c.hosts.told(c.key(name)); !slices.Equal(states, []string{"provisioned"}) {
		return fmt.Errorf("%s has to stay provisioned while its machine moves, and was told to be %v", name, states)
	}
	c.report.step("resumed", fields{"machine": c.machine.name, "host": name})
	return nil
}

// retire deletes the moved machine.
func retire(ctx context.Context, c *consumer) error {
	name, err := c.own(ctx)
	if err != nil {
		return err
	}
	if err := c.deprovision(ctx, name); err != nil {
		return err
	}
	return c.release(ctx, name)
}

// own returns the host that the machine's annotation names, and checks that it is provisioned as
// the machine asks for.
func (c *consumer) own(ctx context.Context) (string, error) {
	machine := &unstructured.Unstructured{}
	machine.SetAPIVersion(c.machine.apiVersion)
	machine.SetKind(c.machine.kind)
	if err := c.client.Get(ctx, client.ObjectKey{Namespace: c.machine.namespace, Name: c.machine.name}, machine); err != nil {
		return "", err
	}
	_, name, found := strings.Cut(machine.GetAnnotations()[hostAnnotation], "/")
	if !found {
		return "", fmt.Errorf("the machine has no annotation %s", hostAnnotation)
	}
	host, err := c.fresh(ctx, name)
	if err != nil {
		return "", err
	}
	if host.Status.Provisioning.State != "provisioned" || host.Spec.Image == nil || host.Spec.Image.URL != image().URL {
		return "", fmt.Errorf("%s is the machine's and is %s", name, shown(host))
	}
	c.report.step("found", fields{"machine": c.machine.name, "host": name, "uid": host.UID})
	return name, nil
}

// told returns the states of a host that the watch has shown so far, without repetitions.
func (w *watched) told(key client.ObjectKey) []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var states []string
	for _, one := range w.states[key] {
		states = append(states, one.state)
	}
	return slices.Compact(states)
}
