// Command check decodes the objects of a List on its standard input into the Prometheus Operator's own types. It fails if one has a field
// that its type does not have, or a value of another type, which a cluster without that operator's CustomResourceDefinitions cannot tell.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

var kinds = map[string]func() any{
	"ServiceMonitor": func() any { return &monitoring.ServiceMonitor{} },
	"PodMonitor":     func() any { return &monitoring.PodMonitor{} },
	"PrometheusRule": func() any { return &monitoring.PrometheusRule{} },
}

type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
}

func check(object json.RawMessage) (string, error) {
	var found header
	if err := json.Unmarshal(object, &found); err != nil {
		return "", err
	}
	name := found.Kind + " " + found.Metadata.Name
	typed, known := kinds[found.Kind]
	if !known || found.APIVersion != monitoring.SchemeGroupVersion.String() {
		return name, fmt.Errorf("%s %s is no kind of the Prometheus Operator", found.APIVersion, found.Kind)
	}
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.DisallowUnknownFields()
	return name, decoder.Decode(typed())
}

func main() {
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	given, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = json.Unmarshal(given, &list)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	failed := false
	for _, object := range list.Items {
		name, err := check(object)
		if err != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			continue
		}
		fmt.Println(name)
	}
	if failed {
		os.Exit(1)
	}
}
