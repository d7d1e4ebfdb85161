package main

import (
	"math/rand/v2"
	"slices"
)

// chooseHost returns the host for a machine by the provider's rules, or nil. The first is a host
// that the machine already has. With a `reuse` value, the next is a host that is kept for it,
// whatever its consumer. Otherwise, it is any host that is free, healthy and available.
func chooseHost(hosts []BareMetalHost, machine reference, reuse string) *BareMetalHost {
	for i := range hosts {
		if machine.is(hosts[i].Spec.ConsumerRef) {
			return &hosts[i]
		}
	}
	var kept, free []*BareMetalHost
	for i := range hosts {
		host := &hosts[i]
		label, labelled := host.Labels[nodeReuseLabel]
		switch {
		case labelled && label == reuse && usable(host):
			kept = append(kept, host)
		case !labelled && host.Spec.ConsumerRef == nil && usable(host):
			free = append(free, host)
		}
	}
	if len(kept) > 0 {
		free = kept
	}
	if len(free) == 0 {
		return nil
	}
	return free[rand.IntN(len(free))]
}

func usable(host *BareMetalHost) bool {
	for _, annotation := range []string{pausedAnnotation, unhealthyAnnotation, "capi.metal3.io/unhealthy"} {
		if _, is := host.Annotations[annotation]; is {
			return false
		}
	}
	state := host.Status.Provisioning.State
	return host.DeletionTimestamp.IsZero() && host.Status.ErrorMessage == "" && (state == "available" || state == "ready")
}

// releasable returns whether the host's state allows a release after its image was cleared.
func releasable(host *BareMetalHost) bool {
	states := []string{"", "unmanaged", "registering", "match profile", "inspecting", "ready", "available"}
	return slices.Contains(states, host.Status.Provisioning.State)
}
