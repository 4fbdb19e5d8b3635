import sys
import grpc
from peermesh.v1.message_pb2 import Message
from peermesh.v1.messaging_pb2 import PublishRequest, SubscribeRequest
from peermesh.v1.messaging_pb2_grpc import MessagingServiceStub

mesh = MessagingServiceStub(grpc.insecure_channel(f"unix:{sys.argv[1]}"))
frames = mesh.Subscribe(SubscribeRequest(subjects=["hello.>"]))
next(frames)  # subscribed: nothing is missed from here on
mesh.Publish(PublishRequest(messages=[Message(subject="hello.world", payload=b"hi")]))
print(next(frames).messages[0].payload.decode())
