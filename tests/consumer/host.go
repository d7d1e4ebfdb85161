package main

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	corev1 "k8s.io/api/core/v1"
)

// This file has the part of metal3.io/v1alpha1 BareMetalHost that Cluster API's Metal3 provider
// reads and writes, with the JSON tags of the Baremetal Operator's own types. The tags decide which
// empty values a merge patch contains.

var groupVersion = schema.GroupVersion{Group: "metal3.io", Version: "v1alpha1"}

type BareMetalHost struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              HostSpec   `json:"spec,omitempty"`
	Status            HostStatus `json:"status,omitempty"`
}

type BareMetalHostList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BareMetalHost `json:"items"`
}

type HostSpec struct {
	BMC                   BMC                     `json:"bmc,omitempty"`
	BootMACAddress        string                  `json:"bootMACAddress,omitempty"`
	Online                bool                    `json:"online"`
	DisablePowerOff       bool                    `json:"disablePowerOff,omitempty"`
	ConsumerRef           *corev1.ObjectReference `json:"consumerRef,omitempty"`
	Image                 *Image                  `json:"image,omitempty"`
	UserData              *corev1.SecretReference `json:"userData,omitempty"`
	MetaData              *corev1.SecretReference `json:"metaData,omitempty"`
	NetworkData           *corev1.SecretReference `json:"networkData,omitempty"`
	AutomatedCleaningMode string                  `json:"automatedCleaningMode,omitempty"`
}

type BMC struct {
	Address         string `json:"address"`
	CredentialsName string `json:"credentialsName"`
}

type Image struct {
	URL          string  `json:"url"`
	Checksum     string  `json:"checksum,omitempty"`
	ChecksumType string  `json:"checksumType,omitempty"`
	DiskFormat   *string `json:"format,omitempty"`
}

type HostStatus struct {
	OperationalStatus string       `json:"operationalStatus"`
	ErrorMessage      string       `json:"errorMessage"`
	PoweredOn         bool         `json:"poweredOn"`
	Provisioning      Provisioning `json:"provisioning"`
	Hardware          *Hardware    `json:"hardware,omitempty"`
}

type Provisioning struct {
	State string `json:"state"`
	ID    string `json:"ID"`
	Image Image  `json:"image,omitempty"`
}

type Hardware struct {
	Hostname string `json:"hostname,omitempty"`
	NICs     []NIC  `json:"nics,omitempty"`
}

type NIC struct {
	Name string `json:"name,omitempty"`
	MAC  string `json:"mac,omitempty"`
	IP   string `json:"ip,omitempty"`
}

func (host *BareMetalHost) DeepCopyObject() runtime.Object { return copyOf(host) }

func (list *BareMetalHostList) DeepCopyObject() runtime.Object { return copyOf(list) }

// copyOf returns a deep copy by way of JSON, which is sufficient for types that consist of JSON
// only.
func copyOf[T any](value *T) *T {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	copied := new(T)
	if err := json.Unmarshal(encoded, copied); err != nil {
		panic(err)
	}
	return copied
}

// register adds the kinds to a scheme.
func register(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(groupVersion, &BareMetalHost{}, &BareMetalHostList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
}
