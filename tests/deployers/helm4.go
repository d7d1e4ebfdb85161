package main

import (
	"strconv"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release"
)

// helm4 installs, upgrades, rolls back and uninstalls by server-side apply, and waits by kstatus.
func helm4(t *task, what string) (any, error) {
	config := action.NewConfiguration()
	if err := config.Init(t.getter, t.namespace, "secret"); err != nil {
		return nil, err
	}
	text, err := t.template()
	if err != nil {
		return nil, err
	}
	made := &chart.Chart{
		Metadata:  &chart.Metadata{APIVersion: chart.APIVersionV2, Name: t.name, Version: "1.0.0"},
		Templates: []*common.File{{Name: "templates/all.yaml", Data: text}},
	}
	conflicts, waits := t.options["force-conflicts"] != "", kube.StatusWatcherStrategy
	switch what {
	case "install":
		run := action.NewInstall(config)
		run.ReleaseName, run.Namespace, run.Timeout = t.name, t.namespace, t.timeout
		run.ServerSideApply, run.WaitStrategy = true, waits
		return told4(run.Run(made, nil))
	case "upgrade":
		run := action.NewUpgrade(config)
		run.Namespace, run.Timeout, run.ForceConflicts = t.namespace, t.timeout, conflicts
		run.ServerSideApply, run.WaitStrategy = "true", waits
		return told4(run.Run(t.name, made, nil))
	case "rollback":
		run := action.NewRollback(config)
		run.Timeout, run.ServerSideApply, run.ForceConflicts, run.WaitStrategy = t.timeout, "true", conflicts, waits
		run.Version, err = strconv.Atoi(t.options["version"])
		if err != nil {
			return nil, err
		}
		return struct{}{}, run.Run(t.name)
	case "uninstall":
		run := action.NewUninstall(config)
		run.Timeout, run.WaitStrategy = t.timeout, waits
		_, err := run.Run(t.name)
		return struct{}{}, err
	}
	return nil, unknown(what)
}

func told4(found release.Releaser, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	read, err := release.NewAccessor(found)
	if err != nil {
		return nil, err
	}
	return map[string]any{"version": read.Version(), "status": read.Status()}, nil
}
