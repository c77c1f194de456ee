// The rules of server-side apply as Kubernetes has them: sigs.k8s.io/structured-merge-diff with the fields of a Secret.
// Reads an array of lives, each an array of steps, and prints for each an array with the state after each step.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"

	"sigs.k8s.io/structured-merge-diff/v4/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v4/merge"
	"sigs.k8s.io/structured-merge-diff/v4/typed"
)

const schema = typed.YAMLObject(`types:
- name: secret
  map:
    fields:
    - {name: type, type: {scalar: string}}
    - {name: data, type: {map: {elementType: {scalar: string}}}}
    - name: metadata
      type:
        map:
          fields:
          - {name: annotations, type: {map: {elementType: {scalar: string}}}}
          - {name: labels, type: {map: {elementType: {scalar: string}}}}
`)

type step struct {
	Operation, Manager string
	Object             map[string]interface{}
	Force              bool
}

type state struct {
	Conflicts []string
	Object    interface{}
	Managers  map[string][]string
}

type same struct{}

func (same) Convert(object *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return object, nil
}
func (same) IsMissingVersionError(error) bool { return false }

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	parser, err := typed.NewParser(schema)
	must(err)
	kind := parser.Type("secret")
	var lives [][]step
	must(json.NewDecoder(os.Stdin).Decode(&lives))
	found := [][]state{}
	for _, steps := range lives {
		found = append(found, lived(kind, steps))
	}
	must(json.NewEncoder(os.Stdout).Encode(found))
}

func lived(kind typed.ParseableType, steps []step) []state {
	live, err := kind.FromUnstructured(map[string]interface{}{})
	must(err)
	managers := fieldpath.ManagedFields{}
	updater := merge.Updater{Converter: same{}}
	states := []state{}
	for _, one := range steps {
		wanted, err := kind.FromUnstructured(one.Object)
		must(err)
		name := one.Manager + "/" + one.Operation
		before := managers.Copy()
		conflicts := []string{}
		if one.Operation == "Apply" {
			made, owned, err := updater.Apply(live, wanted, "v1", managers, name, one.Force)
			if found, ok := err.(merge.Conflicts); ok {
				for _, conflict := range found {
					conflicts = append(conflicts, conflict.Manager+" "+conflict.Path.String())
				}
				managers = before
			} else {
				must(err)
				managers = owned
				if made != nil {
					live = made
				}
			}
		} else {
			live, managers, err = updater.Update(live, wanted, "v1", managers, name)
			must(err)
		}
		sort.Strings(conflicts)
		states = append(states, state{conflicts, live.AsValue().Unstructured(), owners(managers)})
	}
	return states
}

func owners(managers fieldpath.ManagedFields) map[string][]string {
	found := map[string][]string{}
	for name, set := range managers {
		paths := []string{}
		set.Set().Leaves().Iterate(func(path fieldpath.Path) { paths = append(paths, path.String()) })
		sort.Strings(paths)
		found[name] = paths
	}
	return found
}
