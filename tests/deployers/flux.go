package main

import (
	"context"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/ssa"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// flux applies as kustomize-controller does: it takes over the fields of the managers that
// kustomize-controller names, and it applies only what differs from its own dry run.
func flux(t *task, what string) (any, error) {
	ctx, end := context.WithTimeout(context.Background(), t.timeout)
	defer end()
	manager, err := t.manager()
	if err != nil {
		return nil, err
	}
	waits := ssa.WaitOptions{Interval: 200 * time.Millisecond, Timeout: t.timeout, FailFast: true}
	switch what {
	case "apply":
		applies := ssa.DefaultApplyOptions()
		applies.Cleanup = takenOver()
		changed, err := manager.ApplyAllStaged(ctx, t.objects, applies)
		return actions(changed), err
	case "diff":
		found := map[string]string{}
		for _, object := range t.objects {
			entry, _, _, err := manager.Diff(ctx, object, ssa.DefaultDiffOptions())
			if err != nil {
				return nil, err
			}
			found[entry.Subject] = string(entry.Action)
		}
		return found, nil
	case "wait":
		return struct{}{}, manager.Wait(t.objects, waits)
	case "prune":
		gone, err := manager.DeleteAll(ctx, t.objects, ssa.DefaultDeleteOptions())
		if err != nil {
			return nil, err
		}
		return actions(gone), manager.WaitForTermination(t.objects, waits)
	}
	return nil, unknown(what)
}

// takenOver returns the managers of other tools whose fields kustomize-controller makes its own.
func takenOver() ssa.ApplyCleanupOptions {
	found := ssa.ApplyCleanupOptions{
		Annotations: []string{"kubectl.kubernetes.io/last-applied-configuration"},
		Labels:      []string{"kustomize.toolkit.fluxcd.io/checksum"},
	}
	for _, other := range []string{"kubectl", "before-first-apply"} {
		for _, by := range []metav1.ManagedFieldsOperationType{metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate} {
			found.FieldManagers = append(found.FieldManagers, ssa.FieldManager{Name: other, OperationType: by})
		}
	}
	return found
}

func actions(set *ssa.ChangeSet) map[string]string {
	found := map[string]string{}
	if set != nil {
		for _, entry := range set.Entries {
			found[entry.Subject] = string(entry.Action)
		}
	}
	return found
}

func (t *task) manager() (*ssa.ResourceManager, error) {
	config, err := t.getter.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	mapper, err := t.getter.ToRESTMapper()
	if err != nil {
		return nil, err
	}
	reads, err := client.New(config, client.Options{Mapper: mapper})
	if err != nil {
		return nil, err
	}
	poller := polling.NewStatusPoller(reads, mapper, polling.Options{})
	return ssa.NewResourceManager(reads, poller, ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"}), nil
}

// kstatus says what Flux, Helm 4 and Cluster API's tools read of each object.
func kstatus(t *task, _ string) (any, error) {
	found := []map[string]string{}
	for _, object := range t.objects {
		result, err := status.Compute(object)
		if err != nil {
			return nil, err
		}
		found = append(found, map[string]string{"status": result.Status.String(), "message": result.Message})
	}
	return found, nil
}
