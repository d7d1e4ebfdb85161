package main

import (
	"context"
	"encoding/json"
	"fmt"
)

// reboot acts as remediation: it powers the host off by an annotation of its own, waits, removes
// the annotation, and waits for power.
func (c *consumer) reboot(ctx context.Context, name string) error {
	annotation := "reboot.metal3.io/metal3-remediation-" + c.machine.name
	if err := c.change(ctx, name, func(host *BareMetalHost) { setAnnotation(host, annotation, `{"mode":"hard","force":false}`) }); err != nil {
		return fmt.Errorf("remediation of %s: %w", name, err)
	}
	if _, err := c.wait(ctx, name, "poweredOn false", func(host *BareMetalHost) bool { return !host.Status.PoweredOn }); err != nil {
		return err
	}
	held, err := c.fresh(ctx, name)
	if err != nil {
		return err
	}
	if _, kept := held.Annotations[annotation]; !kept || held.Status.PoweredOn {
		return fmt.Errorf("%s: the annotation has to hold the power off until it is removed: %s", name, shown(held))
	}
	if err := c.change(ctx, name, func(host *BareMetalHost) { delete(host.Annotations, annotation) }); err != nil {
		return err
	}
	host, err := c.wait(ctx, name, "poweredOn true", func(host *BareMetalHost) bool { return host.Status.PoweredOn })
	if err != nil {
		return err
	}
	if state := host.Status.Provisioning.State; state != "provisioned" || !c.machine.is(host.Spec.ConsumerRef) {
		return fmt.Errorf("%s was rebooted and is %s: %s", name, state, shown(host))
	}
	c.report.step("reboot", fields{"machine": c.machine.name, "host": name})
	return nil
}

// pause writes the three patches that the provider writes for a paused Cluster, and reverts them.
func (c *consumer) pause(ctx context.Context, name string) error {
	steps := []func(*BareMetalHost){
		func(host *BareMetalHost) { setAnnotation(host, blockMoveAnnotation, "") },
		func(host *BareMetalHost) {
			setAnnotation(host, pausedAnnotation, "metal3.io/capm3")
			setAnnotation(host, statusAnnotation, statusOf(host))
		},
		func(host *BareMetalHost) { delete(host.Annotations, blockMoveAnnotation) },
	}
	for number, step := range steps {
		if err := c.change(ctx, name, step); err != nil {
			return fmt.Errorf("patch %d of pausing %s: %w", number+1, name, err)
		}
		if err := c.settled(ctx, name, step); err != nil {
			return err
		}
	}
	c.report.step("pause", fields{"machine": c.machine.name, "host": name})
	if err := c.change(ctx, name, func(host *BareMetalHost) { delete(host.Annotations, pausedAnnotation) }); err != nil {
		return err
	}
	if err := c.change(ctx, name, func(host *BareMetalHost) { setAnnotation(host, blockMoveAnnotation, "") }); err != nil {
		return err
	}
	host, err := c.fresh(ctx, name)
	if err != nil {
		return err
	}
	_, paused := host.Annotations[pausedAnnotation]
	_, blocked := host.Annotations[blockMoveAnnotation]
	// The Baremetal Operator removes the status annotation from a host that is not paused.
	if _, status := host.Annotations[statusAnnotation]; paused || status || !blocked {
		return fmt.Errorf("%s was unpaused and has the annotations %v", name, host.Annotations)
	}
	c.report.step("unpause", fields{"machine": c.machine.name, "host": name})
	return nil
}

// statusOf returns the value of the status annotation: the status without the hardware.
func statusOf(host *BareMetalHost) string {
	status := host.Status
	status.Hardware = nil
	encoded, err := json.Marshal(status)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

// deprovision does the first half of a machine's deletion: it clears image and data in one patch,
// and waits until neither is left. The watch has to show `deprovisioning` before `available`, so
// that the host does not look clean too early.
func (c *consumer) deprovision(ctx context.Context, name string) error {
	mark := c.hosts.mark(c.key(name))
	clear := func(host *BareMetalHost) {
		host.Spec.Image, host.Spec.UserData, host.Spec.Online = nil, nil, false
	}
	if err := c.change(ctx, name, clear); err != nil {
		return fmt.Errorf("deprovision %s: %w", name, err)
	}
	// The provider reconciles again at once. If the host's state allowed a release now, the machine
	// would end here.
	if _, err := c.wait(ctx, name, "state deprovisioning", func(*BareMetalHost) bool {
		return len(c.hosts.emptiedSince(c.key(name), mark)) > 0
	}); err != nil {
		return err
	}
	if _, err := c.waitState(ctx, name, "available"); err != nil {
		return err
	}
	states := c.hosts.emptiedSince(c.key(name), mark)
	if states[0] != "deprovisioning" {
		return fmt.Errorf("%s was cleared and then told to be %v: a machine's controller would have released it while in use", name, states)
	}
	c.report.step("deprovision", fields{"machine": c.machine.name, "host": name, "states": states})
	return nil
}

// release does the second half of a machine's deletion: it removes the consumer and the cluster
// label.
func (c *consumer) release(ctx context.Context, name string) error {
	host, err := c.fresh(ctx, name)
	if err != nil {
		return err
	}
	if !releasable(host) || !c.machine.is(host.Spec.ConsumerRef) {
		return fmt.Errorf("%s is to be released and is %s", name, shown(host))
	}
	release := func(host *BareMetalHost) {
		host.Spec.ConsumerRef = nil
		delete(host.Labels, clusterLabel)
		delete(host.Annotations, blockMoveAnnotation)
	}
	if err := c.write(ctx, host, release); err != nil {
		return fmt.Errorf("release of %s: %w", name, err)
	}
	if _, err := c.wait(ctx, name, "a free and clean host", blank); err != nil {
		return err
	}
	c.report.step("release", fields{"machine": c.machine.name, "host": name})
	return nil
}

// blank returns whether the host is offered again, and nothing of the machine is left on it.
func blank(host *BareMetalHost) bool {
	spec := host.Spec
	left := spec.ConsumerRef != nil || spec.Image != nil || spec.UserData != nil || spec.MetaData != nil || spec.NetworkData != nil
	_, labelled := host.Labels[clusterLabel]
	return !left && !labelled && host.Status.Provisioning.State == "available"
}
