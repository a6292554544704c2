package plan

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// savedVersion is the format of a saved plan.
const savedVersion = 1

// SavedOptions are what the plan was asked for, so that it can be made again.
type SavedOptions struct {
	Environment string             `json:"environment"`
	Nodes       int                `json:"nodes"`
	Refresh     bool               `json:"refresh,omitempty"`
	Destroy     bool               `json:"destroy,omitempty"`
	Targets     []resource.Address `json:"targets,omitempty"`
	Excludes    []resource.Address `json:"excludes,omitempty"`
}

// Saved is a plan in a file: what it would do, for people, and what it was
// made from, for `apply --plan`, which makes it again and compares. It holds
// no configuration and no secret.
type Saved struct {
	Version      int             `json:"version"`
	Hash         string          `json:"hash"`
	StateDigest  string          `json:"state_digest"`
	ConfigDigest string          `json:"config_digest"`
	Options      SavedOptions    `json:"options"`
	Plan         json.RawMessage `json:"plan"`
}

// Save writes the plan.
func (p *Plan) Save(w io.Writer, o SavedOptions) error {
	shown, err := json.Marshal(p)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(Saved{savedVersion, p.Hash, p.StateDigest, p.ConfigDigest, o, shown})
}

// LoadSaved reads a saved plan.
func LoadSaved(r io.Reader) (*Saved, error) {
	raw, err := io.ReadAll(io.LimitReader(r, 1<<28))
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the saved plan")
	}
	var s Saved
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return nil, fault.Wrap(fault.Config, err, "the file is not a saved plan").WithHint("make one with `wfctl infra plan -o FILE`")
	}
	if s.Version != savedVersion || s.Hash == "" {
		return nil, fault.New(fault.Config, "the saved plan has format %d, this wfctl reads %d", s.Version, savedVersion).WithHint("plan again with this version")
	}
	return &s, nil
}

// Check refuses when making the plan again gave another.
func (s *Saved) Check(now *Plan) error {
	if now.Hash == s.Hash {
		return nil
	}
	why := "what the platforms report has changed"
	switch {
	case now.ConfigDigest != s.ConfigDigest:
		why = "the configuration, or a variable it uses, has changed"
	case now.StateDigest != s.StateDigest:
		why = "the state has moved: something was applied"
	}
	return fault.New(fault.Refused, "the saved plan is stale: %s", why).WithHint("nothing was changed; look at a new plan: `wfctl infra plan -o FILE`")
}
