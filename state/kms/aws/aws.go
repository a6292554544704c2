// Package aws encrypts with a key of AWS KMS, with the credentials of the AWS
// command line.
package aws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state/kms"
)

// Scheme begins the URL of a key: awskms://ID, awskms://alias/NAME or
// awskms:///arn:…, with ?region=, ?profile= and ?context_NAME=VALUE.
const Scheme = "awskms"

// New makes a keeper of a key's URL.
func New(address string, getenv func(string) (string, bool)) (kms.Keeper, error) {
	key, query, err := kms.ParseURL(address, Scheme, "region", "profile", "context_", "awssdk")
	if err != nil {
		return nil, err
	}
	k := &keeper{key: key, region: query.Get("region"), profile: query.Get("profile"), getenv: getenv}
	if arn := strings.Split(key, ":"); k.region == "" && len(arn) > 4 && arn[0] == "arn" {
		k.region = arn[3]
	}
	for name, values := range query {
		if field, ok := strings.CutPrefix(name, "context_"); ok {
			if k.context == nil {
				k.context = map[string]string{}
			}
			k.context[field] = values[0]
		}
	}
	return k, nil
}

type keeper struct {
	key, region, profile string
	context              map[string]string
	getenv               func(string) (string, bool)
}

// message is what both requests and both answers consist of; JSON carries
// bytes in base64.
type message struct {
	KeyID          string            `json:"KeyId,omitempty"`
	Context        map[string]string `json:"EncryptionContext,omitempty"`
	Plaintext      []byte            `json:",omitempty"`
	CiphertextBlob []byte            `json:",omitempty"`
}

func (k *keeper) load(ctx context.Context) (awssdk.Config, error) {
	var loads []func(*config.LoadOptions) error
	if k.profile != "" {
		loads = append(loads, config.WithSharedConfigProfile(k.profile))
	}
	if k.region != "" {
		loads = append(loads, config.WithRegion(k.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, loads...)
	if err == nil && cfg.Region == "" {
		err = fault.New(fault.Config, "the key of AWS KMS has no region").WithHint("add ?region=… to its URL, or set AWS_REGION")
	}
	return cfg, err
}

// endpoint is where the service of a region answers.
func (k *keeper) endpoint(cfg awssdk.Config) string {
	if address, ok := k.getenv("AWS_ENDPOINT_URL_KMS"); ok && address != "" {
		return address
	}
	if address := awssdk.ToString(cfg.BaseEndpoint); address != "" {
		return address
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(cfg.Region, "cn-") {
		domain = "amazonaws.com.cn"
	}
	return "https://kms." + cfg.Region + "." + domain
}

func (k *keeper) ask(ctx context.Context, verb string, in message) (out message, err error) {
	cfg, err := k.load(ctx)
	if err != nil {
		return out, err
	}
	in.KeyID, in.Context = k.key, k.context
	sign := func(req *http.Request, body []byte) error {
		creds, err := cfg.Credentials.Retrieve(ctx)
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "TrentService."+verb)
		sum := sha256.Sum256(body)
		return v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), "kms", cfg.Region, time.Now())
	}
	err = kms.Post(ctx, http.DefaultClient, http.MethodPost, strings.TrimSuffix(k.endpoint(cfg), "/")+"/", in, &out, sign)
	return out, err
}

// Encrypt implements kms.Keeper.
func (k *keeper) Encrypt(ctx context.Context, plain []byte) ([]byte, error) {
	out, err := k.ask(ctx, "Encrypt", message{Plaintext: plain})
	return out.CiphertextBlob, err
}

// Decrypt implements kms.Keeper.
func (k *keeper) Decrypt(ctx context.Context, sealed []byte) ([]byte, error) {
	out, err := k.ask(ctx, "Decrypt", message{CiphertextBlob: sealed})
	return out.Plaintext, err
}
