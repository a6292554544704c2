package do

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// culprits are the keys that the platform names in a refusal, by the word that
// it uses; the first that the configuration may have is meant.
func culprits() []string { return []string{"region", "size", "image", "version"} }

// located finds the key that a refusal is about, and says what it can be where
// the platform lists that.
func (w *work[C]) located(ctx context.Context, err error) error {
	var e *sdk.Error
	if !errors.As(err, &e) || e.Code != sdk.CodeInvalid || e.Path != "" {
		return err
	}
	text := strings.ToLower(e.Error())
	set := keys(w.source)
	for _, word := range culprits() {
		_, said := set[word]
		specific := word == "size" && strings.Contains(string(set["provider_specific"]), `"size"`)
		if !strings.Contains(text, word) || !said && !specific && word != "region" {
			continue
		}
		e.Path = sdk.Path("").Child(word)
		if specific {
			e.Path = "/provider_specific/size"
		}
		if e.Hint == "" {
			e.Hint = w.choices(ctx, word)
		}
		return err
	}
	return err
}

// choices says what a key can be. What cannot be listed is not worth another
// error.
func (a *account) choices(ctx context.Context, word string) string {
	switch word {
	case "size":
		return "`doctl compute size list` lists the sizes of Droplets and nodes, `doctl databases options slugs` those of databases"
	case "image":
		return "`doctl compute image list --public` lists the images"
	case "version":
		return "`doctl databases options versions` and `doctl kubernetes options versions` list the versions"
	}
	regions, err := all(ctx, a.api.Regions.List)
	if err != nil {
		return ""
	}
	regions = slices.DeleteFunc(regions, func(r godo.Region) bool { return !r.Available })
	slugs := make([]string, len(regions))
	for i, r := range regions {
		slugs[i] = r.Slug
	}
	slices.Sort(slugs)
	return "the regions are " + strings.Join(slugs, ", ")
}
