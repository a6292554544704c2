package resolve

import "github.com/gocodealone/wfctl/config"

// merge lays over upon base: maps merge deeply, lists and scalars replace,
// null removes. A nil result is nothing at all.
func merge(base, over *config.Node) *config.Node {
	switch {
	case over == nil:
		return base
	case over.Kind == config.Null:
		return nil
	case over.Kind != config.Map:
		return over
	case base == nil || base.Kind != config.Map:
		return mergeMaps(nil, over)
	}
	return mergeMaps(base, over)
}

func mergeMaps(base, over *config.Node) *config.Node {
	if base == nil && !hasNull(over) {
		return over
	}
	var fields []config.Field
	var have map[string]int
	if base != nil {
		fields = append(fields, base.Fields...)
		have = make(map[string]int, len(fields))
		for i, f := range fields {
			have[f.Name] = i
		}
	}
	for _, f := range over.Fields {
		i, ok := have[f.Name]
		if !ok {
			if v := merge(nil, f.Value); v != nil {
				fields = append(fields, f.With(v))
			}
			continue
		}
		fields[i] = f.With(merge(fields[i].Value, f.Value))
	}
	kept := fields[:0]
	for _, f := range fields {
		if f.Value != nil {
			kept = append(kept, f)
		}
	}
	if base == nil {
		base = over
	}
	return base.WithFields(kept)
}

// hasNull tells whether there is anything to remove in a map.
func hasNull(n *config.Node) bool {
	for _, f := range n.Fields {
		if f.Value.Kind == config.Null || (f.Value.Kind == config.Map && hasNull(f.Value)) {
			return true
		}
	}
	return false
}

// overlaid returns what a module says in an environment.
func overlaid(m *config.Module, env string) config.Part {
	p := m.Part
	for i := range m.Overlays {
		if o := &m.Overlays[i]; o.Env == env {
			if replaces(m, o.Config) {
				p.Config = merge(nil, o.Config)
			} else {
				p.Config = merge(p.Config, o.Config)
			}
			p.Outputs = merge(p.Outputs, o.Outputs)
			p.Lifecycle = merge(p.Lifecycle, o.Lifecycle)
			p.DependsOn = merge(p.DependsOn, o.DependsOn)
			p.Enabled = merge(p.Enabled, o.Enabled)
			p.Import = merge(p.Import, o.Import)
		}
	}
	return p
}

// replaces tells whether an overlay changes what the module is, so that the
// base's options mean nothing any more.
func replaces(m *config.Module, over *config.Node) bool {
	var key string
	switch m.Type {
	case providerType:
		key = "provider"
	case stateType:
		key = "backend"
	default:
		return false
	}
	was, is := m.Config.Get(key), over.Get(key)
	return is != nil && (was == nil || was.Text != is.Text)
}

// overlaidEntry returns the body of an image, migration, gate or pipeline.
func overlaidEntry(e *config.Entry, env string) (body, enabled *config.Node) {
	body, enabled = e.Body, e.Enabled
	for _, o := range e.Overlays {
		if o.Env == env {
			body, enabled = merge(body, o.Body), merge(enabled, o.Enabled)
		}
	}
	return body, enabled
}
