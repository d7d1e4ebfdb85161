package main

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// secretType is the type of the secrets that the provider renders.
const secretType = "infrastructure.cluster.x-k8s.io/secret"

// diskFormat is the diskFormat of the machine's image. The provider writes an empty one for a
// Metal3Machine without it.
var diskFormat string

// realHosts is whether the hosts are the operator's own, and not views.
var realHosts bool

func image() *Image {
	return &Image{
		URL: "https://images.example.com/node.qcow2", Checksum: "https://images.example.com/node.qcow2.sha256", ChecksumType: "sha256",
		DiskFormat: &diskFormat,
	}
}

// render creates the secrets of a data template and the bootstrap secret. The template reads the
// host's name, labels, annotations, boot MAC address and NICs.
func (c *consumer) render(ctx context.Context, name string) error {
	host, err := c.fresh(ctx, name)
	if err != nil {
		return err
	}
	if host.Spec.BootMACAddress == "" || host.Status.Hardware == nil || len(host.Status.Hardware.NICs) == 0 {
		return fmt.Errorf("%s: a data template needs bootMACAddress and NICs: %s", name, shown(host))
	}
	if host.Labels[clusterLabel] != c.cluster {
		return fmt.Errorf("%s: a data template reads the label that the claim wrote: %v", name, host.Labels)
	}
	metadata := fmt.Sprintf("local-hostname: %s\nuuid: %s\nboot-mac: %s\n", host.Name, host.UID, host.Spec.BootMACAddress)
	var links strings.Builder
	for _, nic := range host.Status.Hardware.NICs {
		if nic.Name == "" || nic.MAC == "" {
			return fmt.Errorf("%s: a NIC without name or MAC address: %s", name, shown(nic))
		}
		fmt.Fprintf(&links, "{id: %s, type: phy, ethernet_mac_address: %q},", nic.Name, nic.MAC)
	}
	for suffix, data := range map[string]map[string]string{
		"metadata":    {"metaData": metadata},
		"networkdata": {"networkData": "links: [" + links.String() + "]\n"},
		"bootstrap":   {"value": "#cloud-config\n"},
	} {
		if err := c.putSecret(ctx, c.machine.name+"-"+suffix, data); err != nil {
			return err
		}
	}
	c.report.step("render", fields{"machine": c.machine.name, "host": name, "nics": len(host.Status.Hardware.NICs)})
	return nil
}

func (c *consumer) putSecret(ctx context.Context, name string, data map[string]string) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.machine.namespace, Name: name}, Type: secretType, StringData: data,
	}
	return c.client.Create(ctx, secret)
}

// dropSecrets deletes the secrets that render created.
func (c *consumer) dropSecrets(ctx context.Context) error {
	for _, suffix := range []string{"metadata", "networkdata", "bootstrap"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.machine.namespace, Name: c.machine.name + "-" + suffix}}
		if err := c.client.Delete(ctx, secret); err != nil {
			return err
		}
	}
	return nil
}

// wishes sets the fields that the provider asserts at every reconcile after the data is rendered.
func (c *consumer) wishes(host *BareMetalHost) {
	if host.Spec.Image == nil {
		host.Spec.Image = image()
		host.Spec.UserData = c.secret("bootstrap")
		host.Spec.MetaData = c.secret("metadata")
		host.Spec.NetworkData = c.secret("networkdata")
	}
	host.Spec.AutomatedCleaningMode = "metadata"
	host.Spec.Online = true
	host.Spec.ConsumerRef = c.machine.object()
}

func (c *consumer) secret(suffix string) *corev1.SecretReference {
	return &corev1.SecretReference{Name: c.machine.name + "-" + suffix, Namespace: c.machine.namespace}
}

// provision writes image and data in one patch, and waits for the event that shows the host as
// provisioned.
func (c *consumer) provision(ctx context.Context, name string) error {
	if err := c.change(ctx, name, c.wishes); err != nil {
		return fmt.Errorf("provision %s: %w", name, err)
	}
	if err := c.settled(ctx, name, c.wishes); err != nil {
		return err
	}
	host, err := c.waitState(ctx, name, "provisioned")
	if err != nil {
		return err
	}
	if host, err = c.wait(ctx, name, "poweredOn", func(host *BareMetalHost) bool { return host.Status.PoweredOn }); err != nil {
		return err
	}
	if host.Spec.Image == nil || host.Spec.Image.URL != image().URL || host.Status.ErrorMessage != "" {
		return fmt.Errorf("%s is provisioned with something else: %s", name, shown(host))
	}
	if host.Spec.BMC != (BMC{}) && !realHosts {
		return fmt.Errorf("%s shows BMC data", name)
	}
	c.report.step("provision", fields{"machine": c.machine.name, "host": name})
	return nil
}

// syncLabels checks that the host has the labels with a prefix, which the provider copies to the
// Node.
func (c *consumer) syncLabels(ctx context.Context, name, prefix string) error {
	host, err := c.fresh(ctx, name)
	if err != nil {
		return err
	}
	synced := map[string]string{}
	for key, value := range host.Labels {
		if domain, _, qualified := strings.Cut(key, "/"); qualified && domain == prefix {
			synced[key] = value
		}
	}
	if len(synced) == 0 {
		return fmt.Errorf("%s has no label with the prefix %s to copy to the Node: %v", name, prefix, host.Labels)
	}
	c.report.step("label sync", fields{"machine": c.machine.name, "host": name, "labels": synced})
	return nil
}
