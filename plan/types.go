package plan

import (
	"slices"
)

// orderByType lets a delete wait for those of types that must not outlive it,
// as the provider publishes, where nothing that is known more exactly has it
// the other way round.
func (p *Plan) orderByType(c Catalog) {
	byType := map[string][]*Delete{}
	for _, change := range p.Changes {
		if d, ok := change.(*Delete); ok {
			key := d.Provider().Kind + " " + d.Type()
			byType[key] = append(byType[key], d)
		}
	}
	users := map[string][]*Delete{} // by what must outlive them
	for _, change := range p.Changes {
		d, ok := change.(*Delete)
		if !ok {
			continue
		}
		for _, typ := range outlivedBy(c, d) {
			key := d.Provider().Kind + " " + typ
			if typ != d.Type() && len(byType[key]) > 0 {
				users[key] = append(users[key], d)
			}
		}
	}
	for _, change := range p.Changes {
		if d, ok := change.(*Delete); ok {
			p.deleteAfter(d, users[d.Provider().Kind+" "+d.Type()])
		}
	}
}

// outlivedBy lists the types that a delete's own must not outlive. A provider
// that is not there says nothing; that is told where it is needed.
func outlivedBy(c Catalog, d *Delete) []string {
	schema, err := c.Schema(d.Provider(), d.Type())
	if err != nil || schema == nil {
		return nil
	}
	return schema.DependsOn
}

// deleteAfter lets a delete wait for others, but for those that wait for it.
func (p *Plan) deleteAfter(d *Delete, users []*Delete) {
	if len(users) == 0 {
		return
	}
	step := Step{d.Key(), true}
	waiting := p.waitFor(step)
	for _, u := range users {
		user := Step{u.Key(), true}
		if user != step && !waiting[user] {
			p.steps.Edge(step, user)
		}
	}
}

// waitFor lists the steps that wait for one, directly or not.
func (p *Plan) waitFor(s Step) map[Step]bool {
	seen := map[Step]bool{}
	stack := slices.Clone(p.steps.Dependents(s))
	for len(stack) > 0 {
		next := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !seen[next] {
			seen[next] = true
			stack = append(stack, p.steps.Dependents(next)...)
		}
	}
	return seen
}
