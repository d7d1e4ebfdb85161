package main

import (
	"math/rand/v2"
	"slices"
)

// chooseHost picks a host for a machine by the provider's rules: one that is its own already; else, with a `reuse` value, one that is
// kept for it, whatever its consumer; else any that is free, healthy and available. nil when there is none.
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

// releasable: the states in which a host whose image was cleared may be given up.
func releasable(host *BareMetalHost) bool {
	states := []string{"", "unmanaged", "registering", "match profile", "inspecting", "ready", "available"}
	return slices.Contains(states, host.Status.Provisioning.State)
}
