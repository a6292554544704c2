package attest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// ImageSBOM is the CycloneDX bill of materials of an image, as JSON: its
// programs, the modules in them, and the Go that compiled them. It holds no
// time, so that the same image has the same bill.
func ImageSBOM(name, digest string, programs []Program) ([]byte, error) {
	root := cyclonedx.Component{
		BOMRef: "pkg:oci/" + url.PathEscape(name) + "@" + url.PathEscape(digest), Type: cyclonedx.ComponentTypeContainer,
		Name: name, Version: digest, PackageURL: "pkg:oci/" + url.PathEscape(name) + "@" + url.PathEscape(digest),
	}
	if sum, ok := strings.CutPrefix(digest, "sha256:"); ok {
		root.Hashes = hashes(sum)
	}
	b := newBill(root)
	var all []string
	for _, p := range programs {
		all = append(all, b.program(p))
	}
	b.depend(root.BOMRef, all)
	return b.encode(digest)
}

// ProgramSBOM is the bill of materials of one program.
func ProgramSBOM(p Program) ([]byte, error) {
	b := newBill(cyclonedx.Component{})
	ref := b.program(p)
	i := slices.IndexFunc(b.components, func(c cyclonedx.Component) bool { return c.BOMRef == ref })
	root := b.components[i]
	b.bom.Metadata.Component = &root
	b.components = slices.Delete(b.components, i, i+1)
	return b.encode(p.SHA256)
}

// bill collects components, each once.
type bill struct {
	bom          *cyclonedx.BOM
	components   []cyclonedx.Component
	dependencies []cyclonedx.Dependency
	has          map[string]bool
}

func newBill(root cyclonedx.Component) *bill {
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{
		Component: &root,
		Tools:     &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeApplication, Name: "wfctl"}}},
	}
	return &bill{bom: bom, has: map[string]bool{}}
}

func (b *bill) add(c cyclonedx.Component) string {
	if !b.has[c.BOMRef] {
		b.has[c.BOMRef] = true
		b.components = append(b.components, c)
	}
	return c.BOMRef
}

func (b *bill) depend(ref string, on []string) {
	slices.Sort(on)
	on = slices.Compact(on)
	b.dependencies = append(b.dependencies, cyclonedx.Dependency{Ref: ref, Dependencies: &on})
}

// program adds a program with all that is in it, and returns its reference.
func (b *bill) program(p Program) string {
	c := cyclonedx.Component{
		BOMRef: "file:" + p.Path + "@sha256:" + p.SHA256, Type: cyclonedx.ComponentTypeApplication,
		Name: cmp.Or(p.Info.Path, p.Info.Main.Path, p.Path), Version: released(p.Info.Main.Version), Hashes: hashes(p.SHA256),
		Evidence: &cyclonedx.Evidence{Occurrences: &[]cyclonedx.EvidenceOccurrence{{Location: p.Path}}},
	}
	if p.Info.Main.Path != "" {
		c.PackageURL = modulePURL(p.Info.Main.Path, released(p.Info.Main.Version))
	}
	properties := []cyclonedx.Property{{Name: "go:version", Value: p.Info.GoVersion}}
	for _, s := range p.Info.Settings {
		properties = append(properties, cyclonedx.Property{Name: "go:build:" + strings.TrimPrefix(s.Key, "-"), Value: s.Value})
	}
	c.Properties = &properties
	needs := []string{b.add(toolchain(p.Info.GoVersion))}
	for _, m := range p.Info.Deps {
		needs = append(needs, b.add(library(m)))
	}
	b.add(c)
	b.depend(c.BOMRef, needs)
	return c.BOMRef
}

// toolchain is Go's own library, which every program holds.
func toolchain(version string) cyclonedx.Component {
	v, _, _ := strings.Cut(strings.TrimPrefix(version, "go"), " ") // "go1.26.8 X:nodwarf5"
	return cyclonedx.Component{
		BOMRef: modulePURL("std", v), Type: cyclonedx.ComponentTypeLibrary, Name: "std", Version: v, PackageURL: modulePURL("std", v),
		Scope: cyclonedx.ScopeRequired,
	}
}

func library(m *debug.Module) cyclonedx.Component {
	var properties []cyclonedx.Property
	if m.Replace != nil {
		properties = append(properties, cyclonedx.Property{Name: "go:replaces", Value: strings.TrimSuffix(m.Path+"@"+m.Version, "@")})
		if released(m.Replace.Version) == "" { // a folder, whose path says something of the builder's machine only
			m = &debug.Module{Path: m.Path}
		} else {
			m = m.Replace
		}
	}
	c := cyclonedx.Component{
		BOMRef: modulePURL(m.Path, released(m.Version)), Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: released(m.Version),
		PackageURL: modulePURL(m.Path, released(m.Version)), Scope: cyclonedx.ScopeRequired,
	}
	if m.Sum != "" { // a hash of Go's own kind
		properties = append(properties, cyclonedx.Property{Name: "go:sum", Value: m.Sum})
	}
	if len(properties) > 0 {
		c.Properties = &properties
	}
	return c
}

// released drops a version that is none.
func released(version string) string {
	if version == "(devel)" {
		return ""
	}
	return version
}

// modulePURL is the package URL of a Go module.
func modulePURL(module, version string) string {
	purl := "pkg:golang/" + (&url.URL{Path: module}).EscapedPath()
	if version != "" {
		purl += "@" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B")
	}
	return purl + "?type=module"
}

func hashes(sha256 string) *[]cyclonedx.Hash {
	return &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: sha256}}
}

// encode writes the bill. Its serial number comes from what it is about.
func (b *bill) encode(about string) ([]byte, error) {
	sum := sha256.Sum256([]byte("wfctl bill of materials of " + about))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // a UUID of the kind that its maker defines
	b.bom.SerialNumber = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	slices.SortFunc(b.components, func(x, y cyclonedx.Component) int { return strings.Compare(x.BOMRef, y.BOMRef) })
	slices.SortFunc(b.dependencies, func(x, y cyclonedx.Dependency) int { return strings.Compare(x.Ref, y.Ref) })
	b.bom.Components, b.bom.Dependencies = &b.components, &b.dependencies
	var out bytes.Buffer
	err := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(b.bom, cyclonedx.SpecVersion1_6)
	return out.Bytes(), err
}
