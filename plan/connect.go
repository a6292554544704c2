package plan

import (
	"fmt"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// connect makes the graph of steps. Making waits for making what it depends
// on; deleting waits for deleting, and for changing, what stood on it.
func (b *builder) connect() error {
	b.spreadCreateFirst()
	g := &b.plan.steps
	for _, c := range b.plan.Changes {
		for _, s := range stepsOf(c) {
			g.Add(s)
		}
	}
	for _, c := range b.plan.Changes {
		for _, dep := range b.wants(c) {
			key := resource.Key{Address: dep}
			if to := b.plan.byKey[key]; to != nil && makes(to) {
				g.Edge(Step{Key: c.Key()}, Step{Key: key})
			}
		}
		if r, ok := c.(*Replace); ok {
			if r.CreateFirst {
				g.Edge(Step{r.Key(), true}, Step{Key: r.Key()})
			} else {
				g.Edge(Step{Key: r.Key()}, Step{r.Key(), true})
			}
		}
	}
	b.connectDeletes()
	if _, err := g.Sort(); err != nil {
		return fault.Wrap(fault.Config, err, "the changes wait for each other").
			WithHint("apply in two runs: first with the module added or changed, then with the old one removed")
	}
	return nil
}

// spreadCreateFirst makes what a create-first replacement stands on, where
// that is replaced too, create-first as well: its old one cannot go before the
// old one that stands on it.
func (b *builder) spreadCreateFirst() {
	var todo []*Replace
	for _, c := range b.plan.Changes {
		if r, ok := c.(*Replace); ok && r.CreateFirst {
			todo = append(todo, r)
		}
	}
	for len(todo) > 0 {
		r := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, dep := range r.Prior.DependsOn {
			if d, ok := b.plan.byKey[resource.Key{Address: dep}].(*Replace); ok && !d.CreateFirst {
				d.CreateFirst = true
				todo = append(todo, d)
			}
		}
	}
}

// stepsOf lists the steps of a change.
func stepsOf(c Change) []Step {
	switch c.(type) {
	case *Replace:
		return []Step{{Key: c.Key()}, {c.Key(), true}}
	case *Delete, *Forget:
		return []Step{{c.Key(), true}}
	}
	return []Step{{Key: c.Key()}}
}

// makes tells whether a change has a step that is not a delete.
func makes(c Change) bool {
	switch c.(type) {
	case *Delete, *Forget:
		return false
	}
	return true
}

// deletes tells whether a change has a deleting step.
func deletes(c Change) bool {
	switch c.(type) {
	case *Delete, *Forget, *Replace:
		return true
	}
	return false
}

// wants lists what a change's making waits for.
func (b *builder) wants(c Change) []resource.Address {
	if !makes(c) {
		return nil
	}
	if d, ok := b.desired[c.Address()]; ok && c.Key().Deposed == "" {
		return d.DependsOn()
	}
	return nil
}

// connectDeletes orders deletes by what was recorded.
func (b *builder) connectDeletes() {
	for _, user := range b.plan.Changes {
		prior := priorOf(user)
		if prior == nil {
			continue
		}
		for _, dep := range prior.DependsOn {
			b.beforeDelete(user, resource.Key{Address: dep})
		}
	}
	b.connectNames()
	for _, user := range b.plan.Changes {
		if prior := priorOf(user); prior != nil && makes(user) {
			for _, dep := range prior.DependsOn {
				b.afterChange(user, resource.Key{Address: dep})
			}
		}
	}
	b.plan.orderByType(b.in.Catalog)
}

// beforeDelete lets the delete of what another stood on wait for its delete.
func (b *builder) beforeDelete(user Change, key resource.Key) {
	dep := b.plan.byKey[key]
	if dep != nil && deletes(dep) && deletes(user) && user.Key() != key {
		b.plan.steps.Edge(Step{key, true}, Step{user.Key(), true})
	}
}

// afterChange lets the delete of what a change stood on wait for the change,
// unless the change itself has to wait for it: it then stands on something
// that is replaced, and is without both for a moment.
func (b *builder) afterChange(user Change, key resource.Key) {
	dep := b.plan.byKey[key]
	if dep == nil || !deletes(dep) || user.Key() == key {
		return
	}
	if replace, ok := dep.(*Replace); ok && !replace.CreateFirst {
		return // the user is changed after the new one is there
	}
	del, change := Step{key, true}, Step{Key: user.Key()}
	if !b.plan.waitFor(del)[change] {
		b.plan.steps.Edge(del, change)
	}
}

// connectNames lets the making of a resource wait for the delete of another
// of the same type and name: a module that was renamed without `moved:`.
func (b *builder) connectNames() {
	byName := map[string]Change{}
	for _, c := range b.plan.Changes {
		if d, ok := c.(*Delete); ok && d.Key().Deposed == "" {
			byName[nameKey(c)] = c
		}
	}
	if len(byName) == 0 {
		return
	}
	for _, c := range b.plan.Changes {
		if _, ok := c.(*Create); !ok {
			continue
		}
		if old, ok := byName[nameKey(c)]; ok {
			b.plan.steps.Edge(Step{Key: c.Key()}, Step{old.Key(), true})
		}
	}
}

func nameKey(c Change) string {
	return fmt.Sprintf("%s\x00%s\x00%s", c.Provider().Kind, c.Type(), c.Name())
}

// priorOf is the record that a change begins from; nil for none.
func priorOf(c Change) *resource.Record {
	switch c := c.(type) {
	case *Update:
		return &c.Prior
	case *Replace:
		return &c.Prior
	case *Delete:
		return &c.Prior
	case *Forget:
		return &c.Prior
	case *NoOp:
		return &c.Prior
	case *Create:
		return c.Prior
	}
	return nil
}
