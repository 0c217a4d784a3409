// Checks a url over and over with Go's net/http and crypto/tls, each time over a fresh connection.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
)

var pattern = regexp.MustCompile("Welcome")

func check(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != 200 || !pattern.Match(body) {
		return fmt.Errorf("%s", answer.Status)
	}
	return nil
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	url, file, checks, atOnce := os.Args[1], os.Args[2], number(os.Args[3]), number(os.Args[4])
	pem, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	settings := &tls.Config{RootCAs: roots, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: settings}}
	var all sync.WaitGroup
	for n := 0; n < atOnce; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := 0; i < checks/atOnce; i++ {
				if err := check(client, url); err != nil {
					panic(err)
				}
			}
		}()
	}
	all.Wait()
}
