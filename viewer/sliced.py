"""OTLP's traces with each resource, scope and span left in the bytes that were sent.

`Sliced.FromString(request)` cuts a request apart without decoding what is inside, so that spans can be kept encoded:
the messages are OTLP's own, but for these three fields, which are `bytes` on the wire as messages are.
"""

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, TracesData

_PACKAGE = TracesData.DESCRIPTOR.file.package
_file = FileDescriptorProto(name="viewer/sliced.proto", package=_PACKAGE, syntax="proto3")
for _kind in (TracesData, ResourceSpans, ScopeSpans):
    _message = _file.message_type.add()
    _kind.DESCRIPTOR.CopyToProto(_message)
    for _field in _message.field:
        if _field.name in ("resource", "scope", "spans"):
            _field.type = FieldDescriptorProto.TYPE_BYTES
            _field.ClearField("type_name")
_pool = DescriptorPool()
_pool.Add(_file)
Sliced = GetMessageClass(_pool.FindMessageTypeByName(TracesData.DESCRIPTOR.full_name))
