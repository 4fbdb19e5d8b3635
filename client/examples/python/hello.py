import sys, grpc
from peermesh.v1.message_pb2 import Message
from peermesh.v1.messaging_pb2 import PublishRequest, SubscribeRequest
from peermesh.v1.messaging_pb2_grpc import MessagingServiceStub

identity, address = sys.argv[1:]
files = [open(f"{identity}/{name}.pem", "rb").read() for name in ("ca", "key", "cert")]
mesh = MessagingServiceStub(grpc.secure_channel(address, grpc.ssl_channel_credentials(*files)))
frames = mesh.Subscribe(SubscribeRequest(subjects=["hello.>"]))
next(frames)  # subscribed: nothing is missed from here on
mesh.Publish(PublishRequest(messages=[Message(subject="hello.python", payload=b"hi from Python")]))
print(next(frames).messages[0].payload.decode())
