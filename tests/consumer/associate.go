package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// associate chooses a host, claims it, and returns its name. After a lost race, it chooses again.
// `more` adds to the claim's patch: nothing with a data template, the image at once without one.
func (c *consumer) associate(ctx context.Context, reuse string, more func(*BareMetalHost)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	claim := func(host *BareMetalHost) {
		setLabel(host, clusterLabel, c.cluster)
		delete(host.Labels, nodeReuseLabel)
		host.Spec.ConsumerRef = c.machine.object()
		setAnnotation(host, blockMoveAnnotation, "")
		more(host)
	}
	for conflicts := 0; ; conflicts++ {
		host, err := c.choose(ctx, reuse)
		if err != nil {
			return "", err
		}
		name := host.Name
		err = c.change(ctx, name, claim)
		if lost(err) {
			// The server withdraws the offer, and the watch shows it.
			if _, err := c.hosts.await(ctx, c.key(name), c.deadline, "that another has it", taken); err != nil {
				return "", err
			}
			continue
		}
		if err != nil {
			return "", fmt.Errorf("claim of %s: %w", name, err)
		}
		if err := c.checkClaim(ctx, name, claim); err != nil {
			return "", err
		}
		c.report.step("associate", fields{"machine": c.machine.name, "host": name, "conflicts": conflicts})
		return name, nil
	}
}

func taken(host *BareMetalHost) bool { return host == nil || host.Spec.ConsumerRef != nil }

// choose returns a host that the machine can have. It lists the namespace's hosts without a cache,
// and waits for an event between two lists.
func (c *consumer) choose(ctx context.Context, reuse string) (*BareMetalHost, error) {
	for {
		list := &BareMetalHostList{}
		if err := c.client.List(ctx, list, client.InNamespace(c.machine.namespace), client.MatchingLabels(c.selector)); err != nil {
			return nil, err
		}
		if host := chooseHost(list.Items, c.machine, reuse); host != nil {
			return host, nil
		}
		if err := c.hosts.awaitAny(ctx, c.deadline, fmt.Sprintf("no available host found among %d", len(list.Items))); err != nil {
			return nil, err
		}
	}
}

// checkClaim checks that the consumerRef has exactly the four fields that were written, and that
// asserting the claim again changes nothing.
func (c *consumer) checkClaim(ctx context.Context, name string, claim func(*BareMetalHost)) error {
	object, err := c.raw(ctx, name)
	if err != nil {
		return err
	}
	reference, _, err := unstructured.NestedMap(object.Object, "spec", "consumerRef")
	if err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(reference))
	if !slices.Equal(keys, []string{"apiVersion", "kind", "name", "namespace"}) {
		return fmt.Errorf("%s: consumerRef has the fields %v", name, keys)
	}
	if err := c.settled(ctx, name, claim); err != nil {
		return err
	}
	key := func(host *BareMetalHost) bool {
		return c.machine.is(host.Spec.ConsumerRef) && host.Labels[clusterLabel] == c.cluster
	}
	_, err = c.wait(ctx, name, "the claim", key)
	return err
}

func setLabel(host *BareMetalHost, key, value string) {
	if host.Labels == nil {
		host.Labels = map[string]string{}
	}
	host.Labels[key] = value
}

func setAnnotation(host *BareMetalHost, key, value string) {
	if host.Annotations == nil {
		host.Annotations = map[string]string{}
	}
	host.Annotations[key] = value
}
