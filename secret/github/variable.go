package github

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/google/go-github/v88/github"

	"github.com/gocodealone/wfctl/secret"
)

// VariableSchema is the JSON Schema of the options of github_variable.
const VariableSchema = `{"type": "object", "additionalProperties": false, "oneOf": [{"required": ["repo"]}, {"required": ["org"]}], "properties": {` + scopeProperties + `}}`

// VariableKind is the sink `github_variable`, for values that are no secrets.
func VariableKind(clock Clock) secret.Kind {
	a := newAPI(clock)
	return secret.Kind{Schema: json.RawMessage(VariableSchema), Plain: true, Open: func(h secret.Host) (secret.Sink, error) {
		return &variables{secrets{api: a, host: h}}, nil
	}}
}

type variables struct{ secrets }

type variable struct {
	Name       string  `json:"name"`
	Value      string  `json:"value"`
	Visibility string  `json:"visibility,omitempty"`
	Selected   []int64 `json:"selected_repository_ids,omitempty"`
}

// Write implements secret.Sink: it changes the variable, or makes it.
func (s *variables) Write(ctx context.Context, req secret.Request) (secret.Receipt, error) {
	c, err := s.open(req.Target)
	if err != nil {
		return secret.Receipt{}, err
	}
	ids, err := c.repositoryIDs(ctx)
	if err != nil {
		return secret.Receipt{}, err
	}
	body := variable{Name: req.Name, Visibility: c.Visibility, Selected: ids}
	_ = req.Value.Use(func(v []byte) error { body.Value = string(v); return nil })
	res, err := c.call(ctx, http.MethodPatch, c.path("variables/"+req.Name), body, nil)
	if gone(res) {
		_, err = c.call(ctx, http.MethodPost, c.path("variables"), body, nil)
	}
	return secret.Receipt{}, err
}

// Status implements secret.Sink.
func (s *variables) Status(ctx context.Context, t secret.Target) (secret.Status, error) {
	c, err := s.open(t)
	if err != nil {
		return secret.Status{}, err
	}
	var got github.ActionsVariable
	res, err := c.call(ctx, http.MethodGet, c.path("variables/"+t.Name), nil, &got)
	if gone(res) {
		return secret.Status{}, nil
	}
	return secret.Status{Exists: err == nil, Receipt: secret.Receipt{UpdatedAt: got.GetUpdatedAt().Time}}, err
}

// Retire implements secret.Sink.
func (s *variables) Retire(ctx context.Context, t secret.Target) error {
	c, err := s.open(t)
	if err != nil {
		return err
	}
	res, err := c.call(ctx, http.MethodDelete, c.path("variables/"+t.Name), nil, nil)
	if gone(res) {
		return nil
	}
	return err
}
