package backends

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/jackc/pgx/v5"

	"github.com/gocodealone/wfctl/internal/faultproxy"
)

// bucket is where the tests keep their state on object stores.
const bucket = "wfctl-state-test"

func openPostgres(ctx context.Context, u *url.URL, unique string, faults *faultproxy.Options) (*Place, error) {
	direct := u.String()
	p := &Place{Name: "postgres"}
	if faults != nil {
		proxy, err := faultproxy.TCP(u.Host, *faults)
		if err != nil {
			return nil, err
		}
		p.Proxy, p.close = proxy, append(p.close, proxy.Close)
		behind := *u
		behind.Host = proxy.Addr
		u = &behind
	}
	p.Options = map[string]any{"backend": "postgres", "url": u.String(), "schema": unique}
	p.close = append(p.close, func() error {
		return withConn(ctx, direct, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+unique+" CASCADE")
			return err
		})
	})
	p.Dump = func(ctx context.Context) (all map[string][]byte, err error) {
		err = withConn(ctx, direct, func(conn *pgx.Conn) error {
			all, err = rows(ctx, conn, unique)
			return err
		})
		return all, err
	}
	return p, nil
}

func withConn(ctx context.Context, address string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

// rows reads every row of every table of a schema, with bytes as they are.
func rows(ctx context.Context, conn *pgx.Conn, schema string) (map[string][]byte, error) {
	list, err := conn.Query(ctx, "SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
	if err != nil {
		return nil, err
	}
	tables, err := pgx.CollectRows(list, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, table := range tables {
		list, err := conn.Query(ctx, "SELECT * FROM "+schema+"."+table)
		if err != nil {
			return nil, err
		}
		for n := 0; list.Next(); n++ {
			values, err := list.Values()
			if err != nil {
				return nil, err
			}
			for i, v := range values {
				raw, ok := v.([]byte)
				if !ok {
					raw = fmt.Append(nil, v)
				}
				all[fmt.Sprintf("%s/%d/%d", table, n, i)] = raw
			}
		}
		if err := list.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func openS3(ctx context.Context, u *url.URL, unique string, faults *faultproxy.Options) (*Place, error) {
	secret, _ := u.User.Password()
	client := awss3.New(awss3.Options{
		Region: "us-east-1", UsePathStyle: true, BaseEndpoint: aws.String(u.Scheme + "://" + u.Host),
		Credentials: credentials.NewStaticCredentialsProvider(u.User.Username(), secret, ""),
	})
	var owned *types.BucketAlreadyOwnedByYou
	var exists *types.BucketAlreadyExists
	if _, err := client.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil && !errors.As(err, &owned) && !errors.As(err, &exists) {
		return nil, err
	}
	p := &Place{Name: "s3", Env: []string{"AWS_ACCESS_KEY_ID=" + u.User.Username(), "AWS_SECRET_ACCESS_KEY=" + secret}}
	endpoint, err := p.through(u, faults)
	if err != nil {
		return nil, err
	}
	p.Options = map[string]any{"backend": "s3", "bucket": bucket, "prefix": unique, "region": "us-east-1", "endpoint": endpoint, "use_path_style": true}
	p.Dump = func(ctx context.Context) (map[string][]byte, error) {
		all := map[string][]byte{}
		pages := awss3.NewListObjectsV2Paginator(client, &awss3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String(unique + "/")})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, obj := range page.Contents {
				res, err := client.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String(bucket), Key: obj.Key})
				if err != nil {
					return nil, err
				}
				if all[*obj.Key], err = readAll(res.Body); err != nil {
					return nil, err
				}
			}
		}
		return all, nil
	}
	return p, nil
}

func readAll(r io.ReadCloser) ([]byte, error) {
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func openGCS(ctx context.Context, u *url.URL, unique string, faults *faultproxy.Options) (*Place, error) {
	base := u.Scheme + "://" + u.Host
	if _, err := call(ctx, http.MethodPost, base+"/storage/v1/b?project=test", `{"name":"`+bucket+`"}`, http.StatusConflict); err != nil {
		return nil, err
	}
	p := &Place{Name: "gcs", Options: map[string]any{"backend": "gcs", "bucket": bucket, "prefix": unique}}
	endpoint, err := p.through(u, faults)
	if err != nil {
		return nil, err
	}
	p.Env = []string{"STORAGE_EMULATOR_HOST=" + endpoint}
	p.Dump = func(ctx context.Context) (map[string][]byte, error) {
		all := map[string][]byte{}
		for token := ""; ; {
			data, err := call(ctx, http.MethodGet, base+"/storage/v1/b/"+bucket+"/o?prefix="+unique+"/&pageToken="+url.QueryEscape(token), "", 0)
			if err != nil {
				return nil, err
			}
			var page struct {
				Items []struct {
					Name string `json:"name"`
				} `json:"items"`
				Next string `json:"nextPageToken"`
			}
			if err := json.Unmarshal(data, &page); err != nil {
				return nil, err
			}
			for _, item := range page.Items {
				if all[item.Name], err = call(ctx, http.MethodGet, base+"/storage/v1/b/"+bucket+"/o/"+url.PathEscape(item.Name)+"?alt=media", "", 0); err != nil {
					return nil, err
				}
			}
			if token = page.Next; token == "" {
				return all, nil
			}
		}
	}
	return p, nil
}

// call sends a request; one status besides 2xx may be right too.
func call(ctx context.Context, method, address, body string, also int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 && res.StatusCode != also {
		return nil, errors.Join(fmt.Errorf("%s %s: %s", method, address, res.Status), res.Body.Close())
	}
	return readAll(res.Body)
}

func openAzure(ctx context.Context, u *url.URL, unique string, faults *faultproxy.Options) (*Place, error) {
	key, _ := u.User.Password()
	account := u.User.Username()
	cred, err := azblob.NewSharedKeyCredential(account, key)
	if err != nil {
		return nil, err
	}
	client, err := azblob.NewClientWithSharedKeyCredential(u.Scheme+"://"+u.Host+"/"+account, cred, nil)
	if err != nil {
		return nil, err
	}
	if _, err := client.CreateContainer(ctx, bucket, nil); err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return nil, err
	}
	p := &Place{Name: "azure", Env: []string{"AZURE_STORAGE_KEY=" + key}}
	endpoint, err := p.through(u, faults)
	if err != nil {
		return nil, err
	}
	p.Options = map[string]any{"backend": "azure", "account": account, "container": bucket, "prefix": unique, "endpoint": endpoint + "/" + account}
	p.Dump = func(ctx context.Context) (map[string][]byte, error) {
		all := map[string][]byte{}
		pages := client.NewListBlobsFlatPager(bucket, &azblob.ListBlobsFlatOptions{Prefix: aws.String(unique + "/")})
		for pages.More() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, item := range page.Segment.BlobItems {
				res, err := client.DownloadStream(ctx, bucket, *item.Name, nil)
				if err != nil {
					return nil, err
				}
				if all[*item.Name], err = readAll(res.Body); err != nil {
					return nil, err
				}
			}
		}
		return all, nil
	}
	return p, nil
}
