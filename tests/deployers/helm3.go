package main

import (
	"strconv"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
)

// helm3 installs, upgrades, rolls back and uninstalls by Helm 3's three-way merge.
func helm3(t *task, what string) (any, error) {
	config := new(action.Configuration)
	if err := config.Init(t.getter, t.namespace, "secret", func(string, ...any) {}); err != nil {
		return nil, err
	}
	text, err := t.template()
	if err != nil {
		return nil, err
	}
	made := &chart.Chart{
		Metadata:  &chart.Metadata{APIVersion: chart.APIVersionV2, Name: t.name, Version: "1.0.0"},
		Templates: []*chart.File{{Name: "templates/all.yaml", Data: text}},
	}
	switch what {
	case "install":
		run := action.NewInstall(config)
		run.ReleaseName, run.Namespace, run.Timeout = t.name, t.namespace, t.timeout
		return told3(run.Run(made, nil))
	case "upgrade":
		run := action.NewUpgrade(config)
		run.Namespace, run.Timeout, run.Force = t.namespace, t.timeout, t.options["force"] != ""
		return told3(run.Run(t.name, made, nil))
	case "rollback":
		run := action.NewRollback(config)
		run.Timeout = t.timeout
		run.Version, err = strconv.Atoi(t.options["version"])
		if err != nil {
			return nil, err
		}
		return struct{}{}, run.Run(t.name)
	case "uninstall":
		run := action.NewUninstall(config)
		run.Timeout, run.Wait = t.timeout, true
		_, err := run.Run(t.name)
		return struct{}{}, err
	}
	return nil, unknown(what)
}

func told3(found *release.Release, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return map[string]any{"version": found.Version, "status": found.Info.Status}, nil
}
