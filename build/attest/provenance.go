package attest

import (
	"cmp"
	"encoding/json"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Subject is what a statement is about.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// Statement is one of in-toto.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     any       `json:"predicate"`
}

func statement(subjects []Subject, predicate string, body any) Statement {
	return Statement{Type: "https://in-toto.io/Statement/v1", Subject: subjects, PredicateType: predicate, Predicate: body}
}

// Facts are what is known of a build.
type Facts struct {
	// Image is the name in the file.
	Image string
	// Builder is the kind of builder: go.
	Builder string
	// Parameters are the options of the image as the file has them, without
	// anything that is sensitive.
	Parameters json.RawMessage
	// Fingerprint is the hash of what it was built from.
	Fingerprint string
	// Version is that of wfctl.
	Version string
	// Origin is where the source came from and where it was built.
	Origin Origin
}

// buildType says how to read the parameters: docs/supply-chain.md describes
// them.
const buildType = "https://github.com/GoCodeAlone/wfctl/blob/main/docs/supply-chain.md#provenance"

// resource is an input of a build.
type resource struct {
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
	Name   string            `json:"name,omitempty"`
}

// provenance is a predicate of SLSA, version 1.
type provenance struct {
	BuildDefinition struct {
		BuildType            string         `json:"buildType"`
		ExternalParameters   map[string]any `json:"externalParameters"`
		InternalParameters   map[string]any `json:"internalParameters,omitempty"`
		ResolvedDependencies []resource     `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
		Metadata struct {
			InvocationID string `json:"invocationId,omitempty"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

// localBuilder is the identity of a build that no system vouches for.
const localBuilder = "https://github.com/GoCodeAlone/wfctl/local"

// provenance tells how an image was built. It holds no time: the signature
// has one, and the same build says the same.
func (f Facts) provenance() provenance {
	var p provenance
	p.BuildDefinition.BuildType = buildType
	p.BuildDefinition.ExternalParameters = map[string]any{"image": f.Image, "builder": f.Builder}
	if len(f.Parameters) > 0 {
		p.BuildDefinition.ExternalParameters["options"] = f.Parameters
	}
	if f.Origin.Ref != "" {
		p.BuildDefinition.ExternalParameters["ref"] = f.Origin.Ref
	}
	if f.Origin.Dirty {
		p.BuildDefinition.InternalParameters = map[string]any{"modified": true}
	}
	if f.Origin.Commit != "" {
		p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies,
			resource{URI: f.Origin.URI, Digest: map[string]string{"gitCommit": f.Origin.Commit}, Name: "source"})
	}
	if f.Fingerprint != "" {
		p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies,
			resource{Name: "inputs", Digest: map[string]string{"wfctlFingerprint": trimAlgorithm(f.Fingerprint)}})
	}
	p.RunDetails.Builder.ID = cmp.Or(f.Origin.Builder, localBuilder)
	if f.Version != "" {
		p.RunDetails.Builder.Version = map[string]string{"wfctl": f.Version}
	}
	p.RunDetails.Metadata.InvocationID = f.Origin.Invocation
	return p
}

// subjects are the image and each of its platforms.
func (f Facts) subjects(top v1.Descriptor, platforms []platform) []Subject {
	list := []Subject{{f.Image, map[string]string{top.Digest.Algorithm: top.Digest.Hex}}}
	for _, p := range platforms {
		if p.desc.Digest != top.Digest {
			list = append(list, Subject{f.Image + " (" + p.name + ")", map[string]string{p.desc.Digest.Algorithm: p.desc.Digest.Hex}})
		}
	}
	return list
}
