"""The viewer's page: all about a span."""

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.viewer.browsing import expect
from tests.viewer.otlp import attribute, case, request, shop, span, trace_id


def test_the_pane_tells_all_of_a_span(trace):
    told = span(
        "work",
        id=2,
        parent=1,
        start=5,
        end=10,
        kind=Span.SPAN_KIND_CLIENT,
        status=Status(code=Status.STATUS_CODE_ERROR, message="no good"),
        trace_state="vendor=value",
    )
    page = trace(request(span("root", id=1), told, scope="by hand"))
    page.row("work").click()
    for key, value in {
        "Status": "Error",
        "Message": "no good",
        "Duration": "5 ms",
        "Span id": f"{2:016x}",
        "Parent": "root",
        "Trace id": trace_id(1),
        "Trace state": "vendor=value",
        "service.name": "shop",
        "Name": "by hand",
    }.items():
        expect(page.told(key)).to_contain_text(value)
    expect(page.pane().locator(".chips")).to_contain_text("client")


def test_going_back_to_an_address_without_a_span_closes_the_pane(trace):
    page = trace(*shop())
    page.evaluate(f"location.hash = '{3:016x}'")
    expect(page.pane()).to_be_visible()
    page.go_back()
    expect(page.pane()).to_be_hidden()


def test_a_link_leads_to_its_trace(trace):
    links = [Span.Link(trace_id=(1).to_bytes(16, "big"), span_id=(3).to_bytes(8, "big"))]
    page = trace(*shop(), request(span("later", trace=2, id=9, links=links)), number=2)
    page.row("later").click()
    page.pane().get_by_role("link", name=f"span {3:016x}").click()
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("ship")
    assert page.url.endswith(f"/trace/{trace_id(1)}#{3:016x}")


def test_trace_state_and_flags_of_a_link_and_the_schemas_are_told(trace):
    link = Span.Link(trace_id=b"1" * 16, span_id=b"2" * 8, trace_state="vendor=value", flags=0x301)
    made = request(span("work", id=1, links=[link]))
    made.resource_spans[0].schema_url = "https://opentelemetry.io/schemas/1.40.0"
    made.resource_spans[0].scope_spans[0].schema_url = "https://opentelemetry.io/schemas/1.39.0"
    page = trace(made, path=f"#{1:016x}")
    expect(page.told("Trace state")).to_have_text("vendor=value")
    expect(page.told("Flags")).to_have_text("0x301sampled, from another process")
    for section, version in {"Resource": "1.40.0", "Scope": "1.39.0"}.items():
        part = page.pane().locator("section").filter(has=page.get_by_role("heading", name=section))
        expect(part).to_contain_text(f"Schema URLhttps://opentelemetry.io/schemas/{version}")


def test_the_parent_is_one_click_away(trace):
    page = trace(*shop())
    page.row("pay").click()
    page.told("Parent").get_by_role("link").click()
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("order")


def test_an_id_is_copied(trace):
    page = trace(*shop(), permissions=["clipboard-read", "clipboard-write"])
    page.row("pay").click()
    for what, id in {"span id": 2, "parent's id": 1}.items():
        page.get_by_role("button", name=f"Copy the {what}").click()
        expect(page.pane().get_by_role("button", name=f"Copied the {what}")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == f"{id:016x}"


def test_the_kinds_of_values_are_told_apart(trace):
    page = trace(case("05"), number=0xB0000005, path=f"#{1:016x}")
    for key, value in {
        "str.plain": "text",
        "int.max": "9223372036854775807",
        "dbl": "0.1",
        "dbl.nan": "NaN",
        "bool.no": "false",
        "bytes.text": "aGVsbG8=",
        "arr": '["a, b","c",3,null]',
        "arr.one": '["a, b, c"]',
        "arr.empty": "[]",
        "arr.nested": '[["x"],{"k":"v: w"}]',
        "map": '{"user":"ann","roles":["x","y"],"n":1}',
        "map.empty": "{}",
        "str.blank": '"   "',
        "process.command_args": '["python","app.py","--x=a b"]',
    }.items():
        expect(page.value(key)).to_have_text(value)
    for key, words in {
        "str.empty": "(empty)",
        "str.blank": "(blank, of length 3)",
        "none": "(no value)",
        "bytes.text": "5 bytes, in base64",
        "bytes.empty": "0 bytes, in base64",
    }.items():
        expect(page.told(key).locator(".soft")).to_have_text(words)
    expect(page.told("str.plain").locator(".soft")).to_have_count(0)


def test_a_text_that_looks_like_another_kind_of_value_is_called_a_text(trace):
    others = {
        "5": AnyValue(int_value=5),
        "-1.5": AnyValue(double_value=-1.5),
        "true": AnyValue(bool_value=True),
        "[5]": AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=5)])),
    }
    attributes = [attribute(f"text {text}", text) for text in others]
    attributes += [attribute(f"other {text}", other) for text, other in others.items()]
    attributes.append(attribute("version", "0.33.1"))
    page = trace(request(span("work", id=1, attributes=attributes)), path=f"#{1:016x}")
    expect(page.told("version").locator(".soft")).to_have_count(0)
    for text in others:
        expect(page.told(f"text {text}").locator(".soft")).to_have_text("(text)")
        expect(page.value(f"other {text}")).to_have_text(text)
        expect(page.told(f"other {text}").locator(".soft")).to_have_count(0)


def test_json_in_an_attribute_is_laid_out_as_it_was_written(trace):
    page = trace(case("05"), number=0xB0000005, path=f"#{1:016x}")
    sent = page.value("json.one.line").inner_text()
    button = page.told("json.one.line").get_by_role("button", name="lay out")
    button.click()
    expect(page.value("json.one.line")).to_have_text(
        '{\n  "messages": [\n    {\n      "role": "system",\n      "content": "be brief"\n    },\n    {\n'
        '      "role": "user",\n      "content": "why?\\nreally"\n    }\n  ],\n  "n": 12345678901234567890\n}',
        use_inner_text=True,
    )
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(page.value("json.one.line")).to_have_text(sent)


def test_what_is_no_json_is_not_laid_out(trace):
    texts = ["{" * 50, "[1, 2" + " " * 40, "see [1], [2], and so on, up to the last one of them"]
    page = trace(request(span("work", id=1, attributes=[attribute("key", text) for text in texts])), path=f"#{1:016x}")
    expect(page.pane().get_by_role("button", name="lay out")).to_have_count(0)


def test_a_value_is_copied_as_it_was_sent(trace):
    page = trace(case("05"), number=0xB0000005, path=f"#{1:016x}", permissions=["clipboard-read", "clipboard-write"])
    for key in ("db.query.text", "arr", "str.blank"):
        button = page.told(key).get_by_role("button", name=f"Copy the value of {key}")
        button.focus()
        page.press("Enter")
        expect(page.told(key).get_by_role("button", name=f"Copied the value of {key}")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == ("   " if key == "str.blank" else page.value(key).inner_text())


def test_what_was_not_sent_is_counted_everywhere(trace):
    made = request(
        span(
            "work",
            id=1,
            dropped_attributes_count=1,
            events=[Span.Event(name="event", dropped_attributes_count=2)],
            links=[Span.Link(trace_id=b"1" * 16, span_id=b"2" * 8, dropped_attributes_count=3)],
        )
    )
    made.resource_spans[0].resource.dropped_attributes_count = 4
    made.resource_spans[0].scope_spans[0].scope.dropped_attributes_count = 5
    page = trace(made, path=f"#{1:016x}")
    expect(page.told("Not sent")).to_have_text("1 attribute")
    for section, number in {"Events": 2, "Links": 3, "Resource": 4, "Scope": 5}.items():
        part = page.pane().locator("section").filter(has=page.get_by_role("heading", name=section))
        expect(part).to_contain_text(f"{number} attributes not sent")
