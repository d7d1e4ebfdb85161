// Command consumer uses a namespace's BareMetalHosts as Cluster API's Metal3 provider does: with
// controller-runtime's cache and clients and Cluster API's patch helper. It runs one scenario,
// prints a line of JSON for each step, and ends with an error at the first deviation.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

type options struct {
	kubeconfig, namespace, scenario, machine, selector string
	deadline, total                                    time.Duration
	stepByStep                                         bool
}

func main() {
	names := strings.Join(slices.Sorted(maps.Keys(scenarios)), ", ")
	var o options
	// The flags have a set of their own, because controller-runtime adds its --kubeconfig to the
	// common one.
	flags := flag.NewFlagSet("consumer", flag.ExitOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "whom to be and where")
	flags.StringVar(&o.namespace, "namespace", "", "the tenant's namespace")
	flags.StringVar(&o.scenario, "scenario", "machine", "one of "+names)
	flags.StringVar(&o.machine, "machine", "machine", "the name of the Metal3Machine to act for")
	flags.StringVar(&o.selector, "selector", "", "the machine's host selector, as labels")
	flags.StringVar(&diskFormat, "disk-format", "", "the machine's diskFormat; a real BareMetalHost needs one that is not empty")
	flags.BoolVar(&realHosts, "real-hosts", false, "the hosts are BMO's own, which show BMC data")
	flags.DurationVar(&o.deadline, "deadline", time.Minute, "how long to wait for any one thing")
	flags.DurationVar(&o.total, "total", 4*time.Minute, "how long to run at most")
	flags.BoolVar(&o.stepByStep, "step-by-step", false, "wait for a line on standard input after each step")
	_ = flags.Parse(os.Args[1:])
	log.SetLogger(logr.Discard())
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, end := context.WithTimeout(stop, o.total)
	err := run(ctx, o)
	end()
	cancel()
	if err != nil {
		fmt.Fprintf(os.Stderr, "consumer: %s of %s in %s: %v\n", o.scenario, o.machine, o.namespace, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	scenario, known := scenarios[o.scenario]
	if !known || o.namespace == "" {
		return fmt.Errorf("--namespace and a known --scenario are needed; see --help")
	}
	selector, err := labels.ConvertSelectorToLabelsMap(o.selector)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	register(scheme)
	live, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	hosts, err := cache.New(config, cache.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- hosts.Start(ctx) }()
	report := newReport(os.Stdout)
	if o.stepByStep {
		report.confirm = bufio.NewReader(os.Stdin)
	}
	first, cancel := context.WithTimeout(ctx, o.deadline)
	defer cancel()
	seen, err := watch(first, hosts)
	if err != nil {
		return fmt.Errorf("the informer of all namespaces: %w", err)
	}
	report.step("informer", fields{"hosts": seen.count(o.namespace)})
	machine := reference{infrastructure, "Metal3Machine", o.namespace, o.machine}
	c := &consumer{
		client: live, hosts: seen, machine: machine, cluster: "cluster-" + o.namespace, selector: selector, deadline: o.deadline, report: report,
	}
	if err := scenario(ctx, c); err != nil {
		return err
	}
	report.step("done", fields{"scenario": o.scenario})
	stop()
	return <-failed
}
