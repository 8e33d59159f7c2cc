package harness

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The account that azurite always has, with its well-known key
// (https://learn.microsoft.com/azure/storage/common/storage-use-azurite).
const (
	azureAccount   = "devstoreaccount1"
	azureKey       = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
	azureContainer = "cache"
	azureVersion   = "2021-12-02"
)

// AzureBlob is a running Azure Blob Storage emulator on loopback.
type AzureBlob struct {
	*server
	url string // of the account
}

var azureAddress = regexp.MustCompile(`successfully listens on (http://127\.0\.0\.1:[0-9]+)`)

// StartAzureBlob starts the azurite program that npm has installed in a
// directory, and returns when it has a container for caches. Upstream's exporter would create
// it, but of several exports at once only one can: the others fail (cache/remotecache/azblob).
func StartAzureBlob(ctx context.Context, installed string) (*AzureBlob, error) {
	s, address, err := startServer(ctx, "Azure Blob Storage", azureAddress, func(dir string) (Command, error) {
		return Command{
			Path: filepath.Join(installed, "node_modules", ".bin", "azurite-blob"),
			Args: []string{
				"--blobHost", "127.0.0.1", "--blobPort", "0", "--location", dir,
				// Clients may be newer than the emulator.
				"--skipApiVersionCheck", "--loose", "--disableTelemetry",
			},
		}, nil
	})
	if err != nil {
		return nil, err
	}
	a := &AzureBlob{server: s, url: address + "/" + azureAccount}
	if _, err := a.request(ctx, http.MethodPut, azureContainer, url.Values{"restype": {"container"}}, http.StatusCreated); err != nil {
		return nil, errors.Join(fmt.Errorf("create a container for caches: %w", err), a.Stop(context.WithoutCancel(ctx)), a.Remove())
	}
	return a, nil
}

// Attributes are those of an export or import of type azblob, for the cache of
// a name.
func (a *AzureBlob) Attributes(name string) string {
	return strings.Join([]string{
		"type=azblob", "account_url=" + a.url, "account_name=" + azureAccount, "secret_access_key=" + azureKey,
		"container=" + azureContainer, "prefix=" + name, "name=" + name,
	}, ",")
}

// Cache fetches what a cache export of type azblob has written under a name.
func (a *AzureBlob) Cache(ctx context.Context, name string) (CacheManifest, error) {
	m, err := a.fetchCache(ctx, name)
	if err != nil {
		return CacheManifest{}, fmt.Errorf("read the cache %s: %w", name, err)
	}
	return m, nil
}

func (a *AzureBlob) fetchCache(ctx context.Context, name string) (CacheManifest, error) {
	manifest, err := a.request(ctx, http.MethodGet, azureContainer+"/"+name+"/manifests/"+name, nil, http.StatusOK)
	if err != nil {
		return CacheManifest{}, err
	}
	text, err := a.request(ctx, http.MethodGet, azureContainer, url.Values{
		"restype": {"container"}, "comp": {"list"}, "prefix": {name + "/blobs/"},
	}, http.StatusOK)
	if err != nil {
		return CacheManifest{}, err
	}
	var list struct {
		Names []string `xml:"Blobs>Blob>Name"`
	}
	if err := xml.Unmarshal(text, &list); err != nil {
		return CacheManifest{}, err
	}
	for i, object := range list.Names {
		list.Names[i] = path.Base(object)
	}
	return parseObjects(manifest, list.Names)
}

// request asks for a resource of the account, signed with its key, and for the status of the
// answer (https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key).
func (a *AzureBlob) request(ctx context.Context, method, resource string, query url.Values, want int) (body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, a.url+"/"+resource+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	req.Header.Set("x-ms-date", date)
	req.Header.Set("x-ms-version", azureVersion)
	// The method, eleven headers that are not sent, those that are, and what is
	// asked for. The emulator's paths begin with the account.
	text := method + strings.Repeat("\n", 12) + "x-ms-date:" + date + "\nx-ms-version:" + azureVersion +
		"\n/" + azureAccount + "/" + azureAccount + "/" + resource
	for _, key := range slices.Sorted(maps.Keys(query)) {
		text += "\n" + key + ":" + query.Get(key)
	}
	key, err := base64.StdEncoding.DecodeString(azureKey)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	req.Header.Set("Authorization", "SharedKey "+azureAccount+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))

	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err = io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s %s: %s: %s", method, resource, resp.Status, body)
	}
	return body, err
}
