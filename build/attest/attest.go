// Package attest makes what goes with an image into a registry and says what
// it is: a bill of materials of the Go programs in it, the provenance of its
// build, signatures over both. Each is an OCI artifact whose `subject` is the
// image, so that a registry lists it among the image's referrers. The package
// also finds them again and judges them. It pushes nothing, and builds nothing.
package attest

import (
	"context"
	"encoding/json"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/fault"
)

// The types of artifacts.
const (
	TypeSBOM      = "application/vnd.cyclonedx+json"
	TypeStatement = "application/vnd.in-toto+json"
	TypeBundle    = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// The types of what a statement says of an image.
const (
	PredicateSBOM       = "https://cyclonedx.org/bom"
	PredicateProvenance = "https://slsa.dev/provenance/v1"
	// PredicateSignature says nothing but that the signer stands for it, as
	// cosign writes it.
	PredicateSignature = "https://sigstore.dev/cosign/sign/v1"
)

// Signer signs a document of a type and returns a Sigstore bundle.
type Signer interface {
	Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error)
}

// Options say what to make.
type Options struct {
	SBOM       bool
	Provenance bool
	// Signer signs the image, its bills of materials and its provenance; nil
	// leaves them unsigned.
	Signer Signer
	// Facts are what the provenance tells.
	Facts Facts
	// Warn hears of what could not be made and is no failure.
	Warn func(string)
}

// Referrer is an artifact about an image.
type Referrer struct {
	// What names it for people: "the bill of materials of linux/amd64".
	What string
	// Image is the artifact, its subject set.
	Image v1.Image
}

// Make makes the artifacts of an image in a layout.
func Make(ctx context.Context, img build.Image, o Options) ([]Referrer, error) {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	m := &maker{ctx: ctx, o: o, name: o.Facts.Image}
	top, platforms, err := open(img)
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read image %q in %s", m.name, img.Path)
	}
	if o.SBOM {
		for _, p := range platforms {
			if err := m.sbom(p); err != nil {
				return nil, err
			}
		}
	}
	if o.Provenance {
		if err := m.statement(o.Facts.subjects(top, platforms), PredicateProvenance, o.Facts.provenance(), whole(top, platforms), "the provenance"); err != nil {
			return nil, err
		}
	}
	if o.Signer != nil {
		err := m.sign(statement(o.Facts.subjects(top, platforms), PredicateSignature, struct{}{}), PredicateSignature, whole(top, platforms), "the signature")
		if err != nil {
			return nil, err
		}
	}
	return m.made, nil
}

// whole are the image and each of its platforms: one that is pulled by the
// digest of its platform is proved too.
func whole(top v1.Descriptor, platforms []platform) []v1.Descriptor {
	list := []v1.Descriptor{top}
	for _, p := range platforms {
		if p.desc.Digest != top.Digest {
			list = append(list, p.desc)
		}
	}
	return list
}

type maker struct {
	ctx  context.Context //nolint:containedctx // for one Make
	o    Options
	name string
	made []Referrer
}

// platform is one of an image's manifests.
type platform struct {
	desc  v1.Descriptor
	name  string
	image v1.Image
}

// open finds an image in its layout: the descriptor of its manifest or index,
// and its platforms.
func open(img build.Image) (v1.Descriptor, []platform, error) {
	path, err := layout.FromPath(img.Path)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	root, err := path.ImageIndex()
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	index, err := root.IndexManifest()
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	i := slices.IndexFunc(index.Manifests, func(d v1.Descriptor) bool { return d.Digest.String() == img.Digest })
	if i < 0 {
		return v1.Descriptor{}, nil, fault.New(fault.NotFound, "the layout does not hold %s", img.Digest)
	}
	top := index.Manifests[i]
	subject := v1.Descriptor{MediaType: top.MediaType, Size: top.Size, Digest: top.Digest}
	if !top.MediaType.IsIndex() {
		one, err := root.Image(top.Digest)
		return subject, []platform{{subject, platformName(top), one}}, err
	}
	inner, err := root.ImageIndex(top.Digest)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	list, err := children(inner)
	return subject, list, err
}

func children(index v1.ImageIndex) ([]platform, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var list []platform
	for _, d := range manifest.Manifests {
		if !d.MediaType.IsImage() || d.Platform != nil && d.Platform.OS == "unknown" {
			continue // what buildx adds beside the images is none
		}
		img, err := index.Image(d.Digest)
		if err != nil {
			return nil, err
		}
		list = append(list, platform{v1.Descriptor{MediaType: d.MediaType, Size: d.Size, Digest: d.Digest}, platformName(d), img})
	}
	return list, nil
}

func platformName(d v1.Descriptor) string {
	if d.Platform == nil {
		return "the image"
	}
	return d.Platform.String()
}

// sbom makes the bill of materials of one platform.
func (m *maker) sbom(p platform) error {
	programs, err := Programs(m.ctx, p.image)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "image %q: look for programs in %s", m.name, p.name)
	}
	if len(programs) == 0 {
		m.o.Warn("no bill of materials is made for " + p.name + ": there is no Go program in it")
		return nil
	}
	raw, err := ImageSBOM(m.name, p.desc.Digest.String(), programs)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "image %q: write the bill of materials", m.name)
	}
	what := "the bill of materials of " + p.name
	art, err := artifact(p.desc, TypeSBOM, raw, nil)
	if err != nil {
		return err
	}
	m.made = append(m.made, Referrer{What: what, Image: art})
	if m.o.Signer == nil {
		return nil
	}
	subject := []Subject{{Name: m.name, Digest: map[string]string{p.desc.Digest.Algorithm: p.desc.Digest.Hex}}}
	return m.sign(statement(subject, PredicateSBOM, json.RawMessage(raw)), PredicateSBOM, []v1.Descriptor{p.desc}, what)
}

// statement makes a statement, signed where there is a signer.
func (m *maker) statement(subjects []Subject, predicate string, body any, about []v1.Descriptor, what string) error {
	st := statement(subjects, predicate, body)
	if m.o.Signer != nil {
		return m.sign(st, predicate, about, what)
	}
	raw, err := json.Marshal(st)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "image %q: write %s", m.name, what)
	}
	return m.attach(about, TypeStatement, raw, map[string]string{"in-toto.io/predicate-type": predicate}, what)
}

// attach wraps one document about several things.
func (m *maker) attach(about []v1.Descriptor, artifactType string, content []byte, annotations map[string]string, what string) error {
	for _, subject := range about {
		art, err := artifact(subject, artifactType, content, annotations)
		if err != nil {
			return err
		}
		m.made = append(m.made, Referrer{What: what, Image: art})
	}
	return nil
}

func (m *maker) sign(st Statement, predicate string, about []v1.Descriptor, what string) error {
	raw, err := json.Marshal(st)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "image %q: write %s", m.name, what)
	}
	bundle, err := m.o.Signer.Sign(m.ctx, TypeStatement, raw)
	if m.ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, m.ctx.Err(), "sign image %q", m.name)
	}
	if err != nil {
		return fault.Wrap(fault.Provider, err, "sign %s of image %q", what, m.name)
	}
	return m.attach(about, TypeBundle, bundle, map[string]string{
		"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicate,
	}, what+", signed")
}
