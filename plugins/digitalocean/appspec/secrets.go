package appspec

import (
	"strings"

	"github.com/digitalocean/godo"
)

// Encrypted tells whether a value is one that the platform encrypted.
func Encrypted(value string) bool { return strings.HasPrefix(value, "EV[") }

// KeepSecrets fills in secrets whose value is not at hand with what the
// platform keeps of them. It names those that it has not.
func KeepSecrets(spec, live *godo.AppSpec) (missing []string) {
	kept := map[string]string{}
	eachEnv(live, func(component string, e *godo.AppVariableDefinition) {
		if e.Type == godo.AppVariableType_Secret {
			kept[component+"/"+e.Key] = e.Value
		}
	})
	eachEnv(spec, func(component string, e *godo.AppVariableDefinition) {
		if e.Value != Opaque {
			return
		}
		value, known := kept[component+"/"+e.Key]
		if !known {
			missing = append(missing, e.Key)
			return
		}
		e.Value = value
	})
	return missing
}

// HasSecrets tells whether anything in a spec cannot be compared with what the
// platform shows of it.
func HasSecrets(spec *godo.AppSpec) bool {
	found := false
	eachEnv(spec, func(_ string, e *godo.AppVariableDefinition) {
		found = found || e.Type == godo.AppVariableType_Secret && !Encrypted(e.Value)
	})
	eachImage(spec, func(i *godo.ImageSourceSpec) { found = found || i.RegistryCredentials != "" })
	return found
}

func eachEnv(spec *godo.AppSpec, do func(component string, e *godo.AppVariableDefinition)) {
	each := func(name string, envs []*godo.AppVariableDefinition) {
		for _, e := range envs {
			do(name, e)
		}
	}
	for _, c := range spec.Services {
		each(c.Name, c.Envs)
	}
	for _, c := range spec.StaticSites {
		each(c.Name, c.Envs)
	}
	for _, c := range spec.Workers {
		each(c.Name, c.Envs)
	}
	for _, c := range spec.Jobs {
		each(c.Name, c.Envs)
	}
}

func eachImage(spec *godo.AppSpec, do func(*godo.ImageSourceSpec)) {
	each := func(i *godo.ImageSourceSpec) {
		if i != nil {
			do(i)
		}
	}
	for _, c := range spec.Services {
		each(c.Image)
	}
	for _, c := range spec.Workers {
		each(c.Image)
	}
	for _, c := range spec.Jobs {
		each(c.Image)
	}
}
