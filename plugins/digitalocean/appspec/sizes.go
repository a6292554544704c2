package appspec

import (
	"fmt"
	"slices"
)

// A need is what a component asks of its instances beside their size.
type need int

const (
	needOne need = iota
	needSeveral
	needAutoscaling
)

// sizes are the instance sizes behind the portable ones. The smallest shared
// ones run one instance only, and only dedicated ones scale by themselves.
var sizes = map[string][3]string{
	"xs": {"apps-s-1vcpu-0.5gb", "apps-s-1vcpu-1gb", "apps-d-1vcpu-0.5gb"},
	"s":  {"apps-s-1vcpu-1gb", "apps-s-1vcpu-1gb", "apps-d-1vcpu-1gb"},
	"m":  {"apps-s-1vcpu-2gb", "apps-s-1vcpu-2gb", "apps-d-1vcpu-2gb"},
	"l":  {"apps-s-2vcpu-4gb", "apps-s-2vcpu-4gb", "apps-d-2vcpu-4gb"},
	"xl": {"apps-d-4vcpu-8gb", "apps-d-4vcpu-8gb", "apps-d-4vcpu-8gb"},
}

var portableSizes = []string{"xs", "s", "m", "l", "xl"}

// Sizes maps each portable size to the instance size of one instance.
func Sizes() map[string]string {
	out := map[string]string{}
	for size, slugs := range sizes {
		out[size] = slugs[needOne]
	}
	return out
}

// slugs are all instance sizes that the platform has, the old ones apart.
var slugs = []string{
	"apps-s-1vcpu-0.5gb", "apps-s-1vcpu-1gb-fixed", "apps-s-1vcpu-1gb", "apps-s-1vcpu-2gb", "apps-s-2vcpu-4gb",
	"apps-d-1vcpu-0.5gb", "apps-d-1vcpu-1gb", "apps-d-1vcpu-2gb", "apps-d-1vcpu-4gb", "apps-d-2vcpu-4gb", "apps-d-2vcpu-8gb",
	"apps-d-4vcpu-8gb", "apps-d-4vcpu-16gb", "apps-d-8vcpu-32gb",
}

func needs(count int, autoscaled bool) need {
	switch {
	case autoscaled:
		return needAutoscaling
	case count > 1:
		return needSeveral
	}
	return needOne
}

// slugOf is the instance size of a component.
func slugOf(size string, fields ComponentFields, n need) string {
	if fields.InstanceSizeSlug != "" {
		return fields.InstanceSizeSlug
	}
	if size == "" {
		size = "xs"
	}
	return sizes[size][n]
}

// sizeOf is the portable size of a slug, if it has one.
func sizeOf(slug string, n need) (string, bool) {
	for _, size := range portableSizes {
		if sizes[size][n] == slug {
			return size, true
		}
	}
	return "", false
}

// explainSize says what a portable size is here; empty where the slug is given.
func explainSize(component, size string, fields ComponentFields, n need) string {
	if fields.InstanceSizeSlug != "" {
		return ""
	}
	if size == "" {
		size = "xs"
	}
	text := fmt.Sprintf("size %s of %s is %s", size, component, sizes[size][n])
	if sizes[size][n] == sizes[size][needOne] {
		return text
	}
	return text + map[need]string{
		needSeveral:     ": " + sizes[size][needOne] + " runs one instance only",
		needAutoscaling: ": only dedicated sizes scale by themselves",
	}[n]
}

func knownSlug(slug string) bool { return slices.Contains(slugs, slug) }
