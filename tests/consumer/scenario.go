package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// scenarios maps the values of the flag to the scenarios.
var scenarios = map[string]func(context.Context, *consumer) error{
	"machine":   machine,
	"immediate": immediate,
	"reuse":     reuse,
	"rivals":    rivals,
	"robbed":    robbed,
	"unhealthy": unhealthy,
}

// nothing adds no change to the claim.
func nothing(*BareMetalHost) {}

// machine runs a whole life with a data template.
func machine(ctx context.Context, c *consumer) error {
	name, err := c.associate(ctx, "", nothing)
	if err != nil {
		return err
	}
	steps := []func(context.Context, string) error{
		c.render,
		c.provision,
		func(ctx context.Context, name string) error { return c.syncLabels(ctx, name, "hardware.metal3.io") },
		c.reboot,
		c.pause,
		c.deprovision,
		c.release,
	}
	for _, step := range steps {
		if err := step(ctx, name); err != nil {
			return err
		}
	}
	return c.dropSecrets(ctx)
}

// immediate runs a machine without a data template: the claim contains the image, and the machine
// is deleted before the image is installed.
func immediate(ctx context.Context, c *consumer) error {
	if err := c.putSecret(ctx, c.machine.name+"-bootstrap", map[string]string{"value": "#cloud-config\n"}); err != nil {
		return err
	}
	name, err := c.associate(ctx, "", func(host *BareMetalHost) {
		if host.Spec.Image == nil {
			host.Spec.Image, host.Spec.UserData = image(), c.secret("bootstrap")
		}
		host.Spec.Online = true
	})
	if err != nil {
		return err
	}
	started := func(host *BareMetalHost) bool { return host.Status.Provisioning.State != "available" }
	if _, err := c.wait(ctx, name, "that provisioning began", started); err != nil {
		return err
	}
	if err := c.deprovision(ctx, name); err != nil {
		return err
	}
	if err := c.release(ctx, name); err != nil {
		return err
	}
	return c.client.Delete(ctx, secretNamed(c, "bootstrap"))
}

// reuse replaces a machine. Its successor gets the same host, which stays reserved in between.
func reuse(ctx context.Context, c *consumer) error {
	const keep = "cp-control-plane"
	name, err := c.associate(ctx, "", func(host *BareMetalHost) {
		if host.Spec.Image == nil {
			host.Spec.Image = image()
		}
		host.Spec.Online = true
	})
	if err != nil {
		return err
	}
	if _, err := c.waitState(ctx, name, "provisioned"); err != nil {
		return err
	}
	if err := c.deprovision(ctx, name); err != nil {
		return err
	}
	cluster := reference{"cluster.x-k8s.io/v1beta2", "Cluster", c.machine.namespace, c.cluster}
	reserve := func(host *BareMetalHost) {
		setLabel(host, nodeReuseLabel, keep)
		host.Spec.ConsumerRef = cluster.object()
	}
	if err := c.change(ctx, name, reserve); err != nil {
		return fmt.Errorf("keep %s for reuse: %w", name, err)
	}
	if err := c.settled(ctx, name, reserve); err != nil {
		return err
	}
	c.report.step("reserve", fields{"machine": c.machine.name, "host": name})
	successor := *c
	successor.machine.name += "-successor"
	again, err := successor.associate(ctx, keep, nothing)
	if err != nil {
		return err
	}
	if again != name {
		return fmt.Errorf("the successor got %s and not %s, which was kept for it", again, name)
	}
	return successor.release(ctx, name)
}

// rivals lets two machines choose the same free host. The second patch is refused as a conflict,
// and its machine gets another host.
func rivals(ctx context.Context, c *consumer) error {
	rival := *c
	rival.machine.name += "-rival"
	seen, err := c.firstClaim(ctx)
	if err != nil {
		return err
	}
	name := seen.Name
	err = rival.write(ctx, seen, func(host *BareMetalHost) { host.Spec.ConsumerRef = rival.machine.object() })
	if !lost(err) {
		return fmt.Errorf("the second claim on %s has to end as a conflict, and ended with %v", name, err)
	}
	c.report.step("conflict", fields{"machine": rival.machine.name, "host": name, "error": err.Error()})
	other, err := rival.associate(ctx, "", nothing)
	if err != nil {
		return err
	}
	if other == name {
		return fmt.Errorf("%s was given to both %s and %s", name, c.machine.name, rival.machine.name)
	}
	if err := rival.release(ctx, other); err != nil {
		return err
	}
	return c.release(ctx, name)
}

// firstClaim claims a host, and returns it as it was before. Another tenant may be faster to claim
// the chosen host; then the next host is chosen.
func (c *consumer) firstClaim(ctx context.Context) (*BareMetalHost, error) {
	for {
		host, err := c.choose(ctx, "")
		if err != nil {
			return nil, err
		}
		seen := copyOf(host)
		err = c.write(ctx, host, func(host *BareMetalHost) { host.Spec.ConsumerRef = c.machine.object() })
		if err == nil {
			return seen, nil
		}
		if !lost(err) {
			return nil, fmt.Errorf("the first claim on %s: %w", seen.Name, err)
		}
		if _, err := c.hosts.await(ctx, c.key(seen.Name), c.deadline, "that another has it", taken); err != nil {
			return nil, err
		}
	}
}

// unhealthy lets remediation give up on a host. The mark outlives the machine, so that no machine
// gets the host again.
func unhealthy(ctx context.Context, c *consumer) error {
	name, err := c.associate(ctx, "", nothing)
	if err != nil {
		return err
	}
	mark := func(host *BareMetalHost) { setAnnotation(host, unhealthyAnnotation, "") }
	if err := c.change(ctx, name, mark); err != nil {
		return err
	}
	if err := c.settled(ctx, name, mark); err != nil {
		return err
	}
	if err := c.release(ctx, name); err != nil {
		return err
	}
	// The watch may show the host as free and marked for a moment. Then the host is not offered any
	// more.
	spoiled := func(host *BareMetalHost) bool {
		if host == nil {
			return true
		}
		_, is := host.Annotations[unhealthyAnnotation]
		return is && blank(host)
	}
	host, err := c.hosts.await(ctx, c.key(name), c.deadline, "a free host that is still marked as unhealthy, or none", spoiled)
	if err != nil {
		return err
	}
	if host != nil && chooseHost([]BareMetalHost{*host}, c.machine, "") != nil {
		return fmt.Errorf("%s is unhealthy and was chosen again", name)
	}
	c.report.step("unhealthy", fields{"machine": c.machine.name, "host": name})
	return nil
}

func secretNamed(c *consumer, suffix string) *corev1.Secret {
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = c.machine.namespace, c.machine.name+"-"+suffix
	return secret
}
