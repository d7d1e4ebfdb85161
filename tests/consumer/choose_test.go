package main

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

var me = reference{infrastructure, "Metal3Machine", "a", "me"}

// available returns a free host, changed by `edit`.
func available(name string, edit func(*BareMetalHost)) BareMetalHost {
	host := BareMetalHost{}
	host.Name, host.Status.Provisioning.State = name, "available"
	host.Labels, host.Annotations = map[string]string{}, map[string]string{}
	edit(&host)
	return host
}

func TestChooseHost(t *testing.T) {
	free := available("free", nothing)
	own := available("own", func(host *BareMetalHost) {
		host.Spec.ConsumerRef = me.object()
		host.Status.Provisioning.State = "provisioned"
	})
	kept := available("kept", func(host *BareMetalHost) {
		host.Labels[nodeReuseLabel] = "cp-x"
		host.Spec.ConsumerRef = &corev1.ObjectReference{Kind: "Cluster", Name: "c"}
	})
	others := available("others", func(host *BareMetalHost) { host.Spec.ConsumerRef = &corev1.ObjectReference{Name: "other"} })
	for name, test := range map[string]struct {
		hosts []BareMetalHost
		reuse string
		want  string
	}{
		"its own before all":        {[]BareMetalHost{free, kept, own}, "cp-x", "own"},
		"kept before free":          {[]BareMetalHost{free, kept}, "cp-x", "kept"},
		"kept for somebody else":    {[]BareMetalHost{kept}, "cp-y", ""},
		"free":                      {[]BareMetalHost{others, kept, free}, "", "free"},
		"taken":                     {[]BareMetalHost{others}, "", ""},
		"paused":                    {[]BareMetalHost{available("h", func(h *BareMetalHost) { h.Annotations[pausedAnnotation] = "" })}, "", ""},
		"unhealthy":                 {[]BareMetalHost{available("h", func(h *BareMetalHost) { h.Annotations[unhealthyAnnotation] = "" })}, "", ""},
		"in error":                  {[]BareMetalHost{available("h", func(h *BareMetalHost) { h.Status.ErrorMessage = "broken" })}, "", ""},
		"still being deprovisioned": {[]BareMetalHost{available("h", func(h *BareMetalHost) { h.Status.Provisioning.State = "deprovisioning" })}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if host := chooseHost(test.hosts, me, test.reuse); host != nil {
				got = host.Name
			}
			if got != test.want {
				t.Fatalf("chose %q, not %q", got, test.want)
			}
		})
	}
}
