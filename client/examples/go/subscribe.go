// Prints the payload of every message that matches, and says when some were lost.
//
// Needs protoc, protoc-gen-go, protoc-gen-go-grpc and Go, as recent as google.golang.org/grpc wants it. In an empty directory
// with this file as main.go:
//
//	mkdir api && protoc -I /usr/share/peermesh/protos --go_out=api --go_opt=module=peermesh.dev/api \
//	  --go-grpc_out=api --go-grpc_opt=module=peermesh.dev/api \
//	  /usr/share/peermesh/protos/peermesh/v1/message.proto /usr/share/peermesh/protos/peermesh/v1/messaging.proto
//	(cd api && go mod init peermesh.dev/api)
//	go mod init example && go mod edit -replace peermesh.dev/api=./api && go mod tidy
//	go run . 'hello.>'
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	peermesh "peermesh.dev/api/peermesh/v1"
)

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// dial opens a channel: over the socket, or over mutual TLS with a directory made by "peermesh client add".
func dial() (*grpc.ClientConn, error) {
	address := env("PEERMESH_ADDRESS", "")
	if address == "" {
		socket := env("PEERMESH_SOCKET", "/run/peermesh/app.sock")
		return grpc.Dial("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	identity := env("PEERMESH_IDENTITY", "")
	pair, err := tls.LoadX509KeyPair(filepath.Join(identity, "cert.pem"), filepath.Join(identity, "key.pem"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(identity, "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS13}
	return grpc.Dial(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: subscribe SUBJECT...")
	}
	channel, err := dial()
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	mesh := peermesh.NewMessagingServiceClient(channel)
	stream, err := mesh.Subscribe(context.Background(), &peermesh.SubscribeRequest{Subjects: os.Args[1:]})
	if err != nil {
		log.Fatal(err)
	}
	for {
		frame, err := stream.Recv()
		if err == io.EOF {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		if frame.Subscribed != nil {
			fmt.Fprintln(os.Stderr, "subscribed")
		}
		for _, gap := range frame.Gaps {
			fmt.Fprintf(os.Stderr, "lost: %d messages\n", gap.To-gap.From+1)
		}
		for _, message := range frame.Messages {
			fmt.Printf("%s\n", message.Payload)
		}
	}
}
