package main

import (
	"context"
	"fmt"
)

// robbed runs the scenario in which another consumer takes the real host before the source is asked
// about the claim. The machine learns that from a conflict in the answer to its patch or, if the
// source is asked too late for that, from the host's consumer. It gets another host in the end.
func robbed(ctx context.Context, c *consumer) error {
	seen, err := c.choose(ctx, "")
	if err != nil {
		return err
	}
	name := seen.Name
	c.report.step("chosen", fields{"machine": c.machine.name, "host": name})
	err = c.write(ctx, seen, func(host *BareMetalHost) {
		setLabel(host, clusterLabel, c.cluster)
		host.Spec.ConsumerRef, host.Spec.Image, host.Spec.Online = c.machine.object(), image(), true
	})
	switch {
	case lost(err):
		c.report.step("conflict", fields{"machine": c.machine.name, "host": name, "error": err.Error()})
	case err != nil:
		return fmt.Errorf("claim of %s: %w", name, err)
	default:
		c.report.step("claimed", fields{"machine": c.machine.name, "host": name})
		if err := c.awaitLoss(ctx, name); err != nil {
			return err
		}
	}
	other, err := c.associate(ctx, "", nothing)
	if err != nil {
		return err
	}
	if other == name {
		return fmt.Errorf("%s was claimed again, though another has it", name)
	}
	return c.release(ctx, other)
}

// awaitLoss waits until a claimed host does not belong to this machine any more. Until then, the
// host must never be shown as running the machine's image.
func (c *consumer) awaitLoss(ctx context.Context, name string) error {
	installed := false
	gone := func(host *BareMetalHost) bool {
		installed = installed || host != nil && host.Status.Provisioning.State == "provisioned"
		return host == nil || !c.machine.is(host.Spec.ConsumerRef)
	}
	if _, err := c.hosts.await(ctx, c.key(name), c.deadline, "that the claim was lost", gone); err != nil {
		return err
	}
	if installed {
		return fmt.Errorf("%s was shown as provisioned, and is another's", name)
	}
	c.report.step("withdrawn", fields{"machine": c.machine.name, "host": name})
	return nil
}
