package project

import (
	"context"
	"encoding/json"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/build/attest"
	"github.com/gocodealone/wfctl/build/push"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sigstore"
)

const (
	sbomSchema       = `{"type": "boolean", "default": false, "description": "Puts a bill of materials (CycloneDX) of the Go programs in it beside the image in every registry."}`
	provenanceSchema = `{"type": "boolean", "default": false, "description": "Puts the provenance of its build (SLSA) beside the image in every registry."}`
	signSchema       = `{"anyOf": [{"type": "boolean"}, {"type": "object", "additionalProperties": false, "properties": {
    "key_env": {"type": "string", "description": "The variable that holds a private key as PEM. Without a key, the identity of the CI job signs."},
    "key_file": {"type": "string", "description": "The file of a private key, relative to the application file's folder."},
    "password_env": {"type": "string", "description": "The variable that holds the password of the key."},
    "fulcio": {"type": "string", "description": "Another certificate authority than Sigstore's public one."},
    "rekor": {"type": "string", "description": "Another transparency log than Sigstore's public one; empty for none."},
    "timestamp": {"type": "string", "description": "Another timestamp authority than Sigstore's public one; empty for none."}}}],
  "default": false, "description": "Signs the image, its bill of materials and its provenance: true signs with the identity of the CI job."}`
)

// attachment is what is said of an image beside it.
type attachment struct {
	SBOM       bool            `json:"sbom"`
	Provenance bool            `json:"provenance"`
	Sign       signing         `json:"sign"`
	Build      json.RawMessage `json:"build"`
}

// signing is `sign` of an image: a boolean, or an object.
type signing struct {
	on bool
	// What follows holds where the file says true too.
	KeyEnv      string  `json:"key_env"`
	KeyFile     string  `json:"key_file"`
	PasswordEnv string  `json:"password_env"`
	Fulcio      *string `json:"fulcio"`
	Rekor       *string `json:"rekor"`
	Timestamp   *string `json:"timestamp"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *signing) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &s.on) == nil {
		return nil
	}
	type object signing
	s.on = true
	return json.Unmarshal(raw, (*object)(s))
}

func (s signing) withKey() bool { return s.KeyEnv != "" || s.KeyFile != "" }

// services are Sigstore's public ones but where the file names others. With a
// key they are needed only where it does: what it signed can be proved without
// them, and nothing is published.
func (s signing) services() sigstore.Services {
	services := sigstore.PublicGood()
	if s.withKey() {
		services = sigstore.Services{}
	} else if s.Fulcio != nil { // a private Sigstore: the public log and clock have no say in it
		services = sigstore.Services{Fulcio: *s.Fulcio}
	}
	if s.Rekor != nil {
		services.Rekor = *s.Rekor
	}
	if s.Timestamp != nil {
		services.Timestamp = *s.Timestamp
	}
	return services
}

// attacher makes what goes to registries beside an image.
type attacher struct {
	place   *place
	store   *build.Store
	getenv  func(string) string
	version string
}

// ready finds what keeps an image from being signed, before it is built.
func (a *attacher) ready(at *attachment) *fault.Error {
	switch {
	case at == nil || !at.Sign.on:
		return nil
	case at.Sign.KeyEnv != "" && a.getenv(at.Sign.KeyEnv) == "":
		return fault.New(fault.Environment, "the image is signed with the key in the variable %s, which is not set", at.Sign.KeyEnv).
			WithHint("set %s to the private key as PEM", at.Sign.KeyEnv)
	case at.Sign.KeyFile != "":
		if _, err := os.Stat(a.place.abs(at.Sign.KeyFile)); err != nil {
			return fault.Wrap(fault.Environment, err, "the image is signed with the key in %s", at.Sign.KeyFile)
		}
	case !at.Sign.withKey():
		if err := sigstore.CanToken(a.getenv); err != nil {
			return fault.Wrap(fault.Environment, err, "the image cannot be signed").
				WithHint("in GitHub Actions give the job `permissions: {id-token: write}`; elsewhere set %s, or name a key with sign: {key_env: NAME}", sigstore.TokenVariable)
		}
	}
	if at.Sign.PasswordEnv != "" && a.getenv(at.Sign.PasswordEnv) == "" {
		return fault.New(fault.Environment, "the password of the key is in the variable %s, which is not set", at.Sign.PasswordEnv)
	}
	return nil
}

func (a *attacher) signer(s signing) (*sigstore.Signer, error) {
	if !s.withKey() {
		signer, err := sigstore.Keyless(s.services(), func(ctx context.Context) (string, error) { return sigstore.Token(ctx, a.getenv) })
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "sign the image").WithHint("name `timestamp` or `rekor` beside `fulcio`")
		}
		return signer, nil
	}
	key := []byte(a.getenv(s.KeyEnv))
	if s.KeyFile != "" {
		var err error
		if key, err = os.ReadFile(a.place.abs(s.KeyFile)); err != nil {
			return nil, fault.Wrap(fault.Environment, err, "read the key that signs the image")
		}
	}
	signer, err := sigstore.WithKey(s.services(), key, []byte(a.getenv(s.PasswordEnv)))
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "the key that signs the image").WithHint("is it a private key as PEM, and `password_env` the variable of its password?")
	}
	return signer, nil
}

// attach makes what the file asks for. An image that is in registries alone
// has what was said of it when it was built.
func (a *attacher) attach(ctx context.Context, name string, c sdk.Config, cfg pushConfig, report sdk.Reporter) ([]v1.Image, error) {
	at := cfg.Attach
	if at == nil || !at.SBOM && !at.Provenance && !at.Sign.on {
		return nil, nil
	}
	img, ok, err := a.store.Find(name, cfg.Digest)
	if err != nil {
		return nil, err
	}
	if !ok {
		report.Warn(sdk.Diagnostic{Severity: sdk.SeverityWarning, Message: "nothing is said of the image beside it: it is not on this machine", Hint: "build it here to attach its bill of materials, provenance and signature"})
		return nil, nil
	}
	o := attest.Options{
		SBOM: at.SBOM, Provenance: at.Provenance, Facts: a.facts(ctx, name, c, at),
		Warn: func(text string) { report.Warn(sdk.Diagnostic{Severity: sdk.SeverityWarning, Message: text}) },
	}
	if at.Sign.on {
		report.Progress("signing the image", -1)
		if o.Signer, err = a.signer(at.Sign); err != nil {
			return nil, err
		}
	}
	made, err := attest.Make(ctx, img, o)
	if err != nil {
		return nil, err
	}
	var images []v1.Image
	for _, r := range made {
		report.Log("made " + r.What)
		images = append(images, r.Image)
	}
	return images, nil
}

// facts are what the provenance tells. Options that hold anything sensitive
// stay out of it.
func (a *attacher) facts(ctx context.Context, name string, c sdk.Config, at *attachment) attest.Facts {
	f := attest.Facts{Image: name, Builder: "go", Version: a.version, Origin: attest.FindOrigin(ctx, a.place.baseDir, a.getenv)}
	var how struct {
		Builder string `json:"builder"`
	}
	if json.Unmarshal(at.Build, &how) == nil && how.Builder != "" {
		f.Builder = how.Builder
	}
	if len(c.Sensitive) == 0 {
		f.Parameters = at.Build
	}
	return f
}

// attached tells whether the registries have what is said of the image: all of
// them got it before, and nothing but tags changes. Where a registry lost the
// image, it lost that as well.
func attached(prior *sdk.Prior, c sdk.Config, cfg pushConfig) bool {
	if prior == nil || outputString(prior.Outputs, "digest") != cfg.Digest {
		return false
	}
	same := func(key sdk.Path) bool { return string(lookup(prior.Config, key)) == string(lookup(c, key)) }
	var receipts []push.Receipt
	if !same("/attach") || !same("/registries") || same("/tags") || json.Unmarshal(plainOutput(prior.Outputs, "receipts"), &receipts) != nil {
		return false
	}
	return !slices.ContainsFunc(receipts, func(r push.Receipt) bool { return r.Digest == "" })
}
