// Deployers run Helm 3, Helm 4, Flux's apply and Argo CD's health checks, each as the library that the
// product itself is made of. One call does one thing: the tests decide what happens in which order.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// task is what one call has to do, and where.
type task struct {
	getter    genericclioptions.RESTClientGetter
	namespace string
	name      string
	timeout   time.Duration
	options   map[string]string
	objects   []*unstructured.Unstructured
}

var tools = map[string]func(*task, string) (any, error){
	"helm3":   helm3,
	"helm4":   helm4,
	"flux":    flux,
	"kstatus": kstatus,
	"argo":    argo,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	kubeconfig := flag.String("kubeconfig", "", "of the user that deploys")
	namespace := flag.String("namespace", "default", "of the release or inventory")
	name := flag.String("name", "", "of the release or inventory")
	timeout := flag.Duration("timeout", time.Minute, "for the whole action")
	options := flag.String("options", "{}", "JSON object with options of the action, all strings")
	flag.Parse()
	if flag.NArg() != 2 {
		return fmt.Errorf("usage: deployers [flags] TOOL ACTION < LIST-OF-OBJECTS")
	}
	tool, known := tools[flag.Arg(0)]
	if !known {
		return fmt.Errorf("unknown tool %q", flag.Arg(0))
	}
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig, flags.Namespace = kubeconfig, namespace
	todo := &task{getter: flags, namespace: *namespace, name: *name, timeout: *timeout}
	if err := json.Unmarshal([]byte(*options), &todo.options); err != nil {
		return err
	}
	if err := json.NewDecoder(os.Stdin).Decode(&todo.objects); err != nil {
		return err
	}
	result, err := tool(todo, flag.Arg(1))
	if err != nil {
		return fmt.Errorf("%s %s: %w", flag.Arg(0), flag.Arg(1), err)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// template returns all objects as the one template of a chart.
func (t *task) template() ([]byte, error) {
	var text []byte
	for _, object := range t.objects {
		document, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		text = append(append(text, "---\n"...), append(document, '\n')...)
	}
	return text, nil
}

func unknown(action string) error {
	return fmt.Errorf("unknown action %q", action)
}
