package config

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/gocodealone/wfctl/fault"
)

// object is a JSON Schema while it is put together.
type object = map[string]any

// Schema returns the JSON Schema of the application file (draft-07, what
// yaml-language-server reads). Types are the schemas of what stands under
// `config:`, by module type; "image", "migration" and "gate" are those of the
// entries of that name. Where a value is no string, an expression may stand
// for it.
func Schema(types map[string]json.RawMessage) (json.RawMessage, error) {
	definitions := object{
		"expression": object{"type": "string", "pattern": `\$\{`, "description": "a variable ${NAME} or an expression ${{ … }}"},
		"sink":       sinkSchema(),
		"step":       stepSchema(),
		"plugin":     pluginSchema(),
		"registry":   registrySchema(),
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if err := addType(definitions, name, types[name]); err != nil {
			return nil, fault.Wrap(fault.Provider, err, "read the schema of type %q", name)
		}
	}
	definitions["module"] = moduleSchema(slices.Sorted(maps.Keys(types)))
	for _, noun := range entryNouns {
		definitions["entry "+noun] = entrySchema(definitions, noun)
	}
	return json.MarshalIndent(fileSchema(definitions), "", "  ")
}

var entryNouns = []string{"image", "migration", "gate"}

func ref(name string) object { return object{"$ref": "#/definitions/" + pointer(name)} }

func prose(doc string) object { return object{"type": "string", "description": doc} }

func yesNo(doc string) object {
	return object{"description": doc, "anyOf": []any{object{"type": "boolean"}, ref("expression")}}
}

func textList(doc string) object {
	return object{"type": "array", "items": object{"type": "string"}, "description": doc}
}

// closed is an object with these keys and no others.
func closed(properties object, required ...string) object {
	o := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// namedMap is an object whose keys the user chooses.
func namedMap(of any, doc string) object {
	return object{"type": []any{"object", "null"}, "additionalProperties": of, "description": doc}
}

func fileSchema(definitions object) object {
	anything := object{"type": []any{"object", "null"}}
	root := closed(object{
		"version":      object{"const": 1, "description": "the version of this file's format"},
		"project":      object{"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]*$", "maxLength": 63, "description": "the ownership tag of every resource"},
		"imports":      textList("further files, relative to this one"),
		"environments": namedMap(object{"anyOf": []any{object{"type": "null"}, closed(object{"vars": anything})}}, "every environment that exists"),
		"vars":         object{"type": []any{"object", "null"}, "description": "values of the context `vars` for every environment"},
		"modules":      object{"type": []any{"array", "null"}, "items": ref("module")},
		"images":       namedMap(ref("entry image"), "container images to build"),
		"migrations":   namedMap(ref("entry migration"), "database migrations"),
		"gates":        namedMap(ref("entry gate"), "health gates"),
		"pipelines":    namedMap(pipelineSchema(), "ordered pieces of work"),
		"moved": object{"type": "array", "description": "addresses that have changed", "items": closed(object{
			"from": prose("the old address"), "to": prose("the new address"),
		}, "from", "to")},
		"secrets":   secretsSchema(),
		"schedules": schedulesSchema(),
		"requires": object{
			"description": "deprecated: plugins belong into wfctl.yaml", "type": "object", "additionalProperties": false,
			"properties": object{"plugins": object{"type": "array", "items": ref("plugin")}},
		},
		"registries": object{"description": "deprecated: registries belong into wfctl.yaml", "type": "array", "items": ref("registry")},
	})
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "wfctl application file"
	root["patternProperties"] = object{"^x-": true}
	root["definitions"] = definitions
	return root
}

// partSchemas are the keys of a module that an overlay has too.
func partSchemas(config any) object {
	return object{
		"config": config,
		"outputs": namedMap(object{"anyOf": []any{object{"type": "null"}, closed(object{
			"sensitive": object{"type": []any{"boolean", "null"}, "description": "whether the value is masked and kept out of the state"},
			"sinks":     object{"type": []any{"array", "null"}, "items": ref("sink"), "description": "stores that the value is written to"},
		})}}, "what is said of outputs"),
		"lifecycle": object{"anyOf": []any{object{"type": "null"}, closed(object{
			"prevent_destroy":       object{"type": []any{"boolean", "null"}, "description": "never delete it"},
			"create_before_destroy": object{"type": []any{"boolean", "null"}, "description": "replace by making the new one first"},
			"ignore_changes":        textList("paths in `config` whose changes are left alone"),
		})}},
		"depends_on": textList("addresses that must be done before"),
		"enabled":    yesNo("false leaves the module out"),
		"import":     object{"anyOf": []any{object{"type": "null"}, closed(object{"id": prose("the identifier of an existing resource")}, "id")}},
	}
}

// moduleSchema chooses the schema of `config` by the type.
func moduleSchema(types []string) object {
	var known []any
	var choices []any
	for _, t := range types {
		if slices.Contains(entryNouns, t) {
			continue
		}
		known = append(known, t)
		choices = append(choices, choice(t, ref(t), ref(t+" overlay")))
	}
	special := map[string]string{
		"iac.provider": "provider",
		"iac.state":    "backend",
	}
	for _, t := range slices.Sorted(maps.Keys(special)) {
		if slices.Contains(types, t) {
			continue
		}
		known = append(known, t)
		config := object{"type": "object", "required": []any{special[t]}, "properties": object{special[t]: object{"type": "string"}}}
		choices = append(choices, choice(t, config, object{"type": []any{"object", "null"}}))
	}
	properties := partSchemas(object{"type": []any{"object", "null"}})
	properties["name"] = object{"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]*$", "maxLength": 128, "description": "the module's address"}
	properties["type"] = object{"description": "what it is", "anyOf": []any{
		object{"enum": known}, object{"type": "string", "pattern": `^[a-z][a-z0-9_]*\.`},
	}}
	properties["environments"] = namedMap(overlay(closed(partSchemas(object{"type": []any{"object", "null"}}))), "what is different in an environment")
	m := closed(properties, "name", "type")
	m["allOf"] = choices
	return m
}

func overlay(of object) object { return object{"anyOf": []any{object{"type": "null"}, of}} }

func choice(typ string, config, over any) object {
	return object{
		"if": object{"properties": object{"type": object{"const": typ}}, "required": []any{"type"}},
		"then": object{"properties": object{
			"config":       config,
			"environments": object{"additionalProperties": object{"properties": object{"config": over}}},
		}},
	}
}

// entrySchema adds to the schema of an image, a migration or a gate what every
// entry has.
func entrySchema(definitions object, noun string) object {
	over, _ := definitions[noun+" overlay"].(object)
	base, _ := definitions[noun].(object)
	if base == nil {
		base, over = object{"type": "object"}, object{"type": "object"}
	}
	for _, s := range []object{base, over} {
		properties, _ := s["properties"].(object)
		if properties == nil {
			properties = object{}
			s["properties"] = properties
		}
		delete(properties, "name")
		delete(properties, "provider")
		properties["enabled"] = yesNo("false leaves it out")
		properties["depends_on"] = textList("addresses that must be done before")
		switch noun {
		case "gate":
			properties["after"] = textList("what must be done before the gate is asked")
		case "migration":
			properties["database"] = prose("the module that is migrated")
			dropRequired(s, "database_url")
		}
	}
	definitions[noun+" overlay"] = over
	base["properties"].(object)["environments"] = namedMap(overlay(ref(noun+" overlay")), "what is different in an environment")
	definitions[noun] = base // its own $ref name it here
	return object{"anyOf": []any{object{"type": "null"}, ref(noun)}}
}

func dropRequired(s object, name string) {
	list, _ := s["required"].([]any)
	s["required"] = slices.DeleteFunc(slices.Clone(list), func(v any) bool { return v == name })
	if list == nil {
		delete(s, "required")
	}
}

func sinkSchema() object {
	return object{"type": "object", "required": []any{"type"}, "properties": object{
		"type": object{"description": "the kind of store", "anyOf": []any{
			object{"enum": []any{"github_secret", "github_env", "github_variable", "file", "vault_kv"}}, object{"type": "string"},
		}},
		"name": prose("what the value is called there"),
	}}
}

func stepSchema() object {
	return closed(object{
		"name":              prose("unique in the pipeline; the type by default"),
		"type":              prose("the kind of step"),
		"needs":             object{"anyOf": []any{object{"type": "string"}, textList("steps that must be done before")}},
		"if":                object{"type": []any{"string", "boolean"}, "description": "run only where this holds"},
		"retry":             object{"type": "object"},
		"timeout":           prose("such as 30s or 5m"),
		"circuit_breaker":   object{"type": "object"},
		"continue_on_error": yesNo("a failure does not fail the run"),
		"with":              object{"type": "object", "description": "the step's own options"},
		"outputs":           object{"type": "object"},
	}, "type")
}

func pipelineSchema() object {
	steps := object{"type": []any{"array", "null"}, "items": ref("step")}
	body := object{
		"description": prose("what it is for"), "inputs": object{"type": "object", "description": "a JSON Schema of the inputs"},
		"steps": steps, "on_failure": steps, "always": steps, "timeout": prose("such as 30m"), "enabled": yesNo("false leaves it out"),
	}
	full := maps.Clone(body)
	full["environments"] = namedMap(overlay(closed(body)), "what is different in an environment")
	return object{"anyOf": []any{object{"type": "null"}, closed(full), object{"type": "array", "description": "steps alone, the old shape", "items": object{"type": "object"}}}}
}

func secretsSchema() object {
	return closed(object{
		"stores": object{"type": "array", "description": "where ${{ secrets.NAME }} is looked for, in order; the environment comes last", "items": object{
			"type": "object", "required": []any{"type"}, "properties": object{"type": object{"enum": anyOf(StoreTypes())}},
		}},
		"generate": object{"type": "array", "items": closed(object{
			"key": prose("its name"), "type": object{"enum": anyOf(secretTypes)}, "length": object{"type": "integer", "minimum": 1},
			"source": prose("MODULE.OUTPUT, for infra_output"), "sinks": object{"type": "array", "items": ref("sink")},
		}, "key", "type")},
	})
}

func anyOf(words []string) []any {
	list := make([]any, len(words))
	for i, w := range words {
		list[i] = w
	}
	return list
}

func schedulesSchema() object {
	return object{"type": "array", "items": closed(object{
		"name": prose("its name"), "pipeline": prose("what runs"), "env": prose("where"), "cron": prose("when, as five fields"),
	}, "pipeline", "cron")}
}

func pluginSchema() object {
	return closed(object{
		"name": prose("the plugin"), "version": prose("exact"), "source": prose("where it comes from"),
		"auth":   closed(object{"env": prose("the variable that holds a token")}),
		"verify": closed(object{"identity": prose("who signs it"), "issuer": prose("who vouches for the signer")}),
		"trust":  object{"const": "checksum-only"},
	}, "name")
}

func registrySchema() object {
	return closed(object{
		"name": prose("what images call it"), "type": prose("docker, github, digitalocean, …"), "host": prose("its host"),
		"namespace": prose("what comes before an image's name"), "provider": prose("the module that lends credentials"),
		"optional": object{"type": "boolean"}, "options": object{"type": "object"},
		"auth": closed(object{
			"username_source": prose("an expression"), "username_env": prose("a variable"), "password_env": prose("a variable"),
		}),
	}, "name", "type")
}
