package main

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The halves of a machine's life that are spent in two management clusters, when Cluster API's objects move from one to the other.
func init() {
	scenarios["settle"] = settle
	scenarios["resume"] = resume
	scenarios["retire"] = retire
}

// settle: the first half. The host is provisioned and then paused, as the provider leaves it to a move.
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

// resume: after the move. The machine finds the host that it had, asserts its wishes, and nothing has to be provisioned again.
func resume(ctx context.Context, c *consumer) error {
	name, err := c.own(ctx)
	if err != nil {
		return err
	}
	if err := c.change(ctx, name, func(host *BareMetalHost) { delete(host.Annotations, pausedAnnotation) }); err != nil {
		return err
	}
	asserted := func(host *BareMetalHost) {
		setAnnotation(host, blockMoveAnnotation, "")
		setLabel(host, clusterLabel, c.cluster)
		c.wishes(host)
	}
	if err := c.change(ctx, name, asserted); err != nil {
		return err
	}
	if err := c.settled(ctx, name, asserted); err != nil {
		return err
	}
	if err := c.reboot(ctx, name); err != nil {
		return err
	}
	if states := c.hosts.told(c.key(name)); !slices.Equal(states, []string{"provisioned"}) {
		return fmt.Errorf("%s has to stay provisioned while its machine moves, and was told to be %v", name, states)
	}
	c.report.step("resumed", fields{"machine": c.machine.name, "host": name})
	return nil
}

// retire: the machine is deleted.
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

// own is the host that names the machine as its consumer, provisioned with what the machine wants.
func (c *consumer) own(ctx context.Context) (string, error) {
	list := &BareMetalHostList{}
	if err := c.client.List(ctx, list); err != nil {
		return "", err
	}
	for i := range list.Items {
		host := &list.Items[i]
		if host.Namespace != c.machine.namespace || !c.machine.is(host.Spec.ConsumerRef) {
			continue
		}
		if host.Status.Provisioning.State != "provisioned" || host.Spec.Image == nil || host.Spec.Image.URL != image().URL {
			return "", fmt.Errorf("%s is the machine's and is %s", host.Name, shown(host))
		}
		c.report.step("found", fields{"machine": c.machine.name, "host": host.Name, "uid": host.UID})
		return host.Name, nil
	}
	return "", fmt.Errorf("none of %d hosts is the machine's", len(list.Items))
}

// told are the states that were told of a host so far, each once where it did not change.
func (w *watched) told(key client.ObjectKey) []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var states []string
	for _, one := range w.states[key] {
		states = append(states, one.state)
	}
	return slices.Compact(states)
}
