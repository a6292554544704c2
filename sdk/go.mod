module github.com/gocodealone/wfctl/sdk

go 1.26.0
