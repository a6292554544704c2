package do

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// spacesAccess is the key with which the provider itself uses Spaces.
type spacesAccess struct {
	mu        sync.Mutex
	temporary *godo.SpacesKey
	made      madeKeys
}

const (
	// temporaryName is what keys begin with that the provider makes for itself.
	temporaryName = "wfctl-temporary-"
	// stale is the age at which nobody uses such a key any more: it is left
	// over from a process that was killed.
	stale = 2 * time.Hour
	// keyMakes is how often a key is asked for whose answer is lost.
	keyMakes = 10
)

// spacesKey is the configured key, else one that is made for as long as the
// provider runs.
func (a *account) spacesKey(ctx context.Context) (aws.Credentials, error) {
	if a.spacesKeyID != "" {
		return aws.Credentials{AccessKeyID: a.spacesKeyID, SecretAccessKey: a.spacesSecret.Reveal()}, nil
	}
	a.access.mu.Lock()
	defer a.access.mu.Unlock()
	if a.access.temporary == nil {
		if err := a.dropTemporary(ctx, func(k *godo.SpacesKey) bool { return olderThan(a, k, stale) }); err != nil {
			return aws.Credentials{}, err
		}
		key, err := a.newSpacesKey(ctx, fmt.Sprintf("%s%x", temporaryName, a.clock.Now().UnixNano()), nil, []*godo.Grant{{Permission: godo.SpacesKeyFullAccess}})
		if err != nil {
			return aws.Credentials{}, err
		}
		a.access.temporary = key
	}
	return aws.Credentials{AccessKeyID: a.access.temporary.AccessKey, SecretAccessKey: a.access.temporary.SecretKey}, nil
}

func olderThan(a *account, k *godo.SpacesKey, age time.Duration) bool {
	at, err := time.Parse(time.RFC3339, k.CreatedAt)
	return err == nil && a.clock.Now().Sub(at) > age
}

// dropTemporary removes keys that providers made for themselves.
func (a *account) dropTemporary(ctx context.Context, which func(*godo.SpacesKey) bool) error {
	list, err := a.spacesKeys(ctx, "")
	if err != nil {
		return err
	}
	for _, k := range list {
		if strings.HasPrefix(k.Name, temporaryName) && which(k) {
			if err := a.dropSpacesKey(ctx, k.AccessKey); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave removes the key that the provider made for itself.
func (a *account) leave(ctx context.Context) error {
	a.access.mu.Lock()
	defer a.access.mu.Unlock()
	if a.access.temporary == nil {
		return nil
	}
	err := a.dropSpacesKey(ctx, a.access.temporary.AccessKey)
	if err == nil {
		a.access.temporary = nil
	}
	return err
}

// newSpacesKey makes a key. Its secret is shown once: when the answer is lost,
// what was made is of no use to anybody, is removed, and another one is made.
// known are the keys of the name that are there for a reason.
func (a *account) newSpacesKey(ctx context.Context, name string, known []string, grants []*godo.Grant) (*godo.SpacesKey, error) {
	for attempt := 1; ; attempt++ {
		key, _, err := a.api.SpacesKeys.Create(ctx, &godo.SpacesKeyCreateRequest{Name: name, Grants: grants})
		if err == nil {
			return key, nil
		}
		if err = said(err, "create the Spaces key "+name); !ambiguous(err) {
			return nil, err
		}
		if err := a.dropLost(ctx, name, known); err != nil {
			return nil, err
		}
		if attempt == keyMakes {
			return nil, err
		}
	}
}

// dropLost removes keys of a name whose secret nobody has.
func (a *account) dropLost(ctx context.Context, name string, known []string) error {
	list, err := a.spacesKeys(ctx, name)
	if err != nil {
		return err
	}
	for _, k := range list {
		if !slices.Contains(known, k.AccessKey) {
			if err := a.dropSpacesKey(ctx, k.AccessKey); err != nil {
				return err
			}
		}
	}
	return nil
}

// spacesKeys lists the keys with a name, or all for "".
func (a *account) spacesKeys(ctx context.Context, name string) ([]*godo.SpacesKey, error) {
	list, err := all(ctx, a.api.SpacesKeys.List)
	if err != nil {
		return nil, said(err, "list Spaces keys")
	}
	return only(list, func(k *godo.SpacesKey) bool { return name == "" || k.Name == name }), nil
}

func (a *account) dropSpacesKey(ctx context.Context, id string) error {
	_, err := a.api.SpacesKeys.Delete(ctx, id)
	if err = said(err, "delete the Spaces key "+id); sdk.IsNotFound(err) {
		return nil
	}
	return err
}
