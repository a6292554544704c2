package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/build/attest"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/registry"
	"github.com/gocodealone/wfctl/sigstore"
)

// proofOptions say who must have signed.
type proofOptions struct {
	identity, pattern, issuer string
	key, trustedRoot          string
	bundle                    string
}

func (a *App) buildVerify() *cobra.Command {
	var o proofOptions
	cmd := &cobra.Command{
		Use:   "verify IMAGE",
		Short: "Prove who signed an image, and tell what they say of it",
		Long: `Prove that an image of a registry was signed by who it should be: the signature
is of exactly this image, the certificate is of --identity and was given by
--issuer, and it was signed while the certificate was valid. Or, with --key,
that it was signed with that key. Then tell what the signer states: the
provenance of the build, the bills of materials.

The registry alone is asked, with the credential that wfctl.yaml has for it (one
that a cloud lends needs --env), else with Docker's. What the proofs are checked against is Sigstore's
public trust root, which wfctl ships, or --trusted-root.

With --bundle the thing to verify is a file of this machine, and nobody is
asked at all.

Exit status: 0 proved; 1 not proved; 2 wrong usage.`,
		Example: `  wfctl build verify ghcr.io/acme/web:v1 --identity-regexp 'https://github.com/acme/web/.github/workflows/release.yml@refs/tags/v.*' --issuer https://token.actions.githubusercontent.com
  wfctl build verify ghcr.io/acme/web:v1 --key cosign.pub
  wfctl build verify checksums.txt --bundle checksums.txt.sigstore.json --identity ID --issuer URL`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.verifyImage(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.identity, "identity", "", "who must have signed: the `ID` in the certificate, such as the address of a workflow at a tag")
	f.StringVar(&o.pattern, "identity-regexp", "", "a regular expression `RE` that matches the whole of the identity")
	f.StringVar(&o.issuer, "issuer", "", "the `URL` of who vouches for the identity")
	f.StringVar(&o.key, "key", "", "the `FILE` of a public key, in place of an identity")
	f.StringVar(&o.trustedRoot, "trusted-root", "", "the `FILE` of another trust root than Sigstore's public one")
	f.StringVar(&o.bundle, "bundle", "", "the signature of a file: a Sigstore bundle in `FILE`")
	return cmd
}

// policy checks the flags and compiles what they say.
func (o proofOptions) policy() (attest.Policy, error) {
	p := attest.Policy{Identity: o.identity, Issuer: o.issuer}
	switch {
	case o.key != "" && (o.identity != "" || o.pattern != "" || o.issuer != "" || o.trustedRoot != ""):
		return p, fault.New(fault.Usage, "--key stands alone: a key has no identity, issuer or trust root")
	case o.key == "" && o.identity == "" && o.pattern == "":
		return p, fault.New(fault.Usage, "say who must have signed").WithHint("--identity and --issuer, or --key FILE")
	case o.identity != "" && o.pattern != "":
		return p, fault.New(fault.Usage, "--identity and --identity-regexp exclude each other")
	case o.key == "" && o.issuer == "":
		return p, fault.New(fault.Usage, "an identity says nothing without who vouches for it").WithHint("--issuer https://token.actions.githubusercontent.com for GitHub Actions")
	case o.pattern != "":
		re, err := regexp.Compile(o.pattern)
		if err != nil {
			return p, fault.New(fault.Usage, "--identity-regexp: %s", err)
		}
		p.Pattern = re
	}
	return p, nil
}

func (o proofOptions) prover() (attest.Prover, error) {
	if o.key != "" {
		raw, err := os.ReadFile(o.key)
		if err != nil {
			return nil, fault.Wrap(fault.Environment, err, "read the key")
		}
		v, err := sigstore.NewKeyVerifier(raw)
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "the key in %s", o.key)
		}
		return v, nil
	}
	return o.verifier()
}

func (o proofOptions) verifier() (*sigstore.Verifier, error) {
	var raw []byte
	if o.trustedRoot != "" {
		var err error
		if raw, err = os.ReadFile(o.trustedRoot); err != nil {
			return nil, fault.Wrap(fault.Environment, err, "read the trust root")
		}
	}
	v, err := sigstore.NewVerifier(raw)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "the trust root")
	}
	return v, nil
}

func (a *App) verifyImage(ctx context.Context, image string, o proofOptions) error {
	policy, err := o.policy()
	if err != nil {
		return err
	}
	if o.bundle != "" {
		return a.verifyFile(image, o, policy)
	}
	ref, err := name.ParseReference(image)
	if err != nil {
		return fault.New(fault.Usage, "%q is no image of a registry", image).WithHint("write HOST/NAMESPACE/NAME:TAG or …@sha256:DIGEST; a file needs --bundle")
	}
	prover, err := o.prover()
	if err != nil {
		return err
	}
	set, err := engine.Registries(a.Kinds, a.engineOptions())
	if err != nil {
		return err
	}
	judge := func(access remote.Option) error {
		report, err := attest.Verify(ctx, ref, prover, policy, access)
		if err != nil {
			return err
		}
		return a.showReport(report)
	}
	for _, s := range set.Specs() { // one that a cloud lends the credential for needs the environment's provider
		if s.Provider != "" && s.Host != "" && registry.Canonical(s.Host) == ref.Context().RegistryStr() {
			return a.withRegistry(ctx, s.Name, func(e *registry.Entry) error { return judge(remote.WithAuth(e.Authenticator(false))) })
		}
	}
	return judge(remote.WithAuthFromKeychain(set.Keychain()))
}

func (a *App) showReport(r *attest.Report) error {
	if a.flags.json {
		return a.printJSON(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %s.\n", r.Image, r.Digest)
	for _, s := range r.Statements {
		by := "the key"
		if s.Identity != "" {
			by = s.Identity + " (" + s.Issuer + ")"
		}
		at := ""
		if !s.SignedAt.IsZero() {
			at = " at " + s.SignedAt.UTC().Format("2006-01-02 15:04:05 UTC")
		}
		fmt.Fprintf(&b, "%s: signed by %s%s.\n", saysOf(s.Predicate), by, at)
	}
	if len(r.SBOMs) > 0 {
		fmt.Fprintf(&b, "Bills of materials, signed by the same: %s.\n", strings.Join(r.SBOMs, ", "))
	}
	if p := r.Provenance; p != nil {
		fmt.Fprintf(&b, "Built by %s", p.Builder)
		if p.Commit != "" {
			fmt.Fprintf(&b, " from %s at commit %s", strings.TrimPrefix(p.Source, "git+"), p.Commit)
		}
		b.WriteString(".\n")
	}
	_, err := fmt.Fprint(a.Stdout, b.String())
	return err
}

func saysOf(predicate string) string {
	if predicate == attest.PredicateSignature {
		return "Image"
	}
	return "Provenance"
}

// verifyFile proves the signature of a file of this machine.
func (a *App) verifyFile(file string, o proofOptions, policy attest.Policy) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "read the file")
	}
	bundle, err := os.ReadFile(o.bundle)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "read the bundle")
	}
	if content == nil {
		content = []byte{}
	}
	who, err := o.proveFile(bundle, sigstore.Artifact{Content: content}, policy)
	if err != nil {
		return fault.Wrap(fault.Integrity, err, "%s is not signed by who it should be", file)
	}
	if a.flags.json {
		return a.printJSON(map[string]string{"file": file, "identity": who.Identity, "issuer": who.Issuer})
	}
	by := "the key"
	if who.Identity != "" {
		by = who.String()
	}
	_, err = fmt.Fprintf(a.Stdout, "%s is signed by %s.\n", file, by)
	return err
}

func (o proofOptions) proveFile(bundle []byte, artifact sigstore.Artifact, policy attest.Policy) (who sigstore.Identity, err error) {
	if o.key != "" {
		prover, err := o.prover()
		if err != nil {
			return who, err
		}
		return who, prover.(*sigstore.KeyVerifier).Verify(bundle, artifact)
	}
	v, err := o.verifier()
	if err != nil {
		return who, err
	}
	if who, err = v.Verify(bundle, artifact, nil); err != nil {
		return who, err
	}
	return who, policy.Accepts(who)
}

func (a *App) buildSBOM() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "sbom PROGRAM",
		Short: "Write the bill of materials of a Go program",
		Long: `Write the CycloneDX bill of materials of a Go program, as JSON: the modules in
it, by the build information that Go puts into every program. For an image,
"sbom: true" in the application file puts one beside it in every registry.

Exit status: 0 done; 1 failed; 2 wrong usage.`,
		Example: "  wfctl build sbom bin/wfctl\n  wfctl build sbom bin/wfctl -o wfctl.cdx.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := attest.ProgramFile(args[0])
			if err != nil {
				return fault.Wrap(fault.Environment, err, "%s cannot be read as a Go program", args[0])
			}
			raw, err := attest.ProgramSBOM(p)
			if err != nil {
				return fault.Wrap(fault.Internal, err, "write the bill of materials")
			}
			return a.deliverFile(output, raw)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE` (default: standard output)")
	return cmd
}

// deliverFile writes a document whole, or to standard output.
func (a *App) deliverFile(output string, raw []byte) error {
	if output == "" {
		_, err := a.Stdout.Write(raw)
		return err
	}
	path, err := filepath.Abs(output)
	if err == nil {
		err = atomicfile.Write(path, raw, 0o644)
	}
	if err != nil {
		return fault.Wrap(fault.Environment, err, "write %s", output)
	}
	return nil
}

// signOptions say what a file is signed with.
type signOptions struct {
	bundle                          string
	keyEnv, keyFile, passwordEnv    string
	fulcio, rekor, timestamp        string
	givenFulcio, givenRekor, givenT bool
}

func (a *App) buildSign() *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign a file, such as a release's list of checksums",
		Long: `Sign a file and write the Sigstore bundle that proves it. Without a key, the
identity of the CI job signs: GitHub Actions' with "id-token: write", or the
token in SIGSTORE_ID_TOKEN. Images are signed when they are pushed: "sign" of
an image in the application file.

Exit status: 0 done; 1 failed; 2 wrong usage.`,
		Example: "  wfctl build sign dist/checksums.txt --bundle dist/checksums.txt.sigstore.json\n  wfctl build sign x.tar.gz --bundle x.tar.gz.sigstore.json --key-env COSIGN_PRIVATE_KEY --password-env COSIGN_PASSWORD",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.givenFulcio, o.givenRekor, o.givenT = cmd.Flags().Changed("fulcio"), cmd.Flags().Changed("rekor"), cmd.Flags().Changed("timestamp")
			return a.signFile(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.bundle, "bundle", "", "write the signature to `FILE`")
	f.StringVar(&o.keyEnv, "key-env", "", "sign with the private key in the variable `NAME`")
	f.StringVar(&o.keyFile, "key", "", "sign with the private key in `FILE`")
	f.StringVar(&o.passwordEnv, "password-env", "", "the variable `NAME` that holds the key's password")
	f.StringVar(&o.fulcio, "fulcio", "", "another certificate authority than Sigstore's public one, at `URL`")
	f.StringVar(&o.rekor, "rekor", "", "another transparency log, at `URL`")
	f.StringVar(&o.timestamp, "timestamp", "", "another timestamp authority, at `URL`")
	_ = cmd.MarkFlagRequired("bundle")
	return cmd
}

func (o signOptions) signer() (*sigstore.Signer, error) {
	services := sigstore.PublicGood()
	withKey := o.keyEnv != "" || o.keyFile != ""
	if withKey || o.givenFulcio {
		services = sigstore.Services{Fulcio: o.fulcio}
	}
	if o.givenRekor {
		services.Rekor = o.rekor
	}
	if o.givenT {
		services.Timestamp = o.timestamp
	}
	if !withKey {
		if err := sigstore.CanToken(os.Getenv); err != nil {
			return nil, fault.Wrap(fault.Environment, err, "the file cannot be signed").WithHint("in GitHub Actions give the job `permissions: {id-token: write}`; elsewhere set %s, or sign with a key", sigstore.TokenVariable)
		}
		return sigstore.Keyless(services, func(ctx context.Context) (string, error) { return sigstore.Token(ctx, os.Getenv) })
	}
	key := []byte(os.Getenv(o.keyEnv))
	if o.keyFile != "" {
		var err error
		if key, err = os.ReadFile(o.keyFile); err != nil {
			return nil, fault.Wrap(fault.Environment, err, "read the key")
		}
	}
	return sigstore.WithKey(services, key, []byte(os.Getenv(o.passwordEnv)))
}

func (a *App) signFile(ctx context.Context, file string, o signOptions) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "read the file")
	}
	signer, err := o.signer()
	if err != nil {
		return fault.Wrap(fault.Environment, err, "sign %s", file)
	}
	bundle, err := signer.SignBlob(ctx, content)
	if ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, ctx.Err(), "sign %s", file)
	}
	if err != nil {
		return fault.Wrap(fault.Provider, err, "sign %s", file)
	}
	return a.deliverFile(o.bundle, bundle)
}
