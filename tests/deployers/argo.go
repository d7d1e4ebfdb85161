package main

import (
	"encoding/json"
	"fmt"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// argo says what Argo CD shows of an object: its health by a script, and what differs from Git.
func argo(t *task, what string) (any, error) {
	switch what {
	case "health":
		return t.healths()
	case "diff":
		return t.threeWay()
	}
	return nil, unknown(what)
}

// healths runs the script of `options` over each object, as Argo CD's util/lua does: with the base
// libraries only, the object as `obj`, and a table with `status` and `message` as the result.
func (t *task) healths() (any, error) {
	found := []map[string]string{}
	for _, object := range t.objects {
		health, err := evaluated(t.options["script"], object.Object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", object.GetName(), err)
		}
		found = append(found, health)
	}
	return found, nil
}

func evaluated(script string, object map[string]any) (map[string]string, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), NRet: 0, Protect: true}, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	result, is := state.Get(-1).(*lua.LTable)
	if !is {
		return nil, fmt.Errorf("the script returns %s, not a table", state.Get(-1).Type())
	}
	return map[string]string{"status": text(result, "status"), "message": text(result, "message")}, nil
}

func text(table *lua.LTable, key string) string {
	if found, is := table.RawGetString(key).(lua.LString); is {
		return string(found)
	}
	return ""
}

// value returns what Lua sees of a decoded JSON value.
func value(state *lua.LState, found any) lua.LValue {
	switch found := found.(type) {
	case bool:
		return lua.LBool(found)
	case int64:
		return lua.LNumber(found)
	case float64:
		return lua.LNumber(found)
	case string:
		return lua.LString(found)
	case []any:
		table := state.CreateTable(len(found), 0)
		for _, item := range found {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(found))
		for key, item := range found {
			table.RawSetString(key, value(state, item))
		}
		return table
	}
	return lua.LNil
}

// threeWay returns the difference between an object of Git (the first of each pair) and the one of
// the cluster (the second), as gitops-engine computes it for kinds that client-go does not know:
// what a client-side apply would change, by the annotation of the last one.
func (t *task) threeWay() (any, error) {
	found := []json.RawMessage{}
	for at := 0; at+1 < len(t.objects); at += 2 {
		wanted, live := t.objects[at], t.objects[at+1]
		before := &unstructured.Unstructured{}
		if err := before.UnmarshalJSON([]byte(live.GetAnnotations()[lastApplied])); err != nil {
			return nil, fmt.Errorf("%s was not applied: %w", live.GetName(), err)
		}
		original, err := compared(before)
		if err != nil {
			return nil, err
		}
		modified, err := compared(wanted)
		if err != nil {
			return nil, err
		}
		current, err := compared(live)
		if err != nil {
			return nil, err
		}
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(original, modified, current)
		if err != nil {
			return nil, err
		}
		found = append(found, patch)
	}
	return found, nil
}

// compared returns the object without what gitops-engine does not compare: the namespace, and
// annotations that are empty.
func compared(object *unstructured.Unstructured) ([]byte, error) {
	found := object.DeepCopy()
	unstructured.RemoveNestedField(found.Object, "metadata", "namespace")
	if len(found.GetAnnotations()) == 0 {
		unstructured.RemoveNestedField(found.Object, "metadata", "annotations")
	}
	return found.MarshalJSON()
}
