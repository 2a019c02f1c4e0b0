"""Drag and drop as the operating system does it, paste from the real clipboard."""

from pathlib import Path

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.file_field import FileField

COPY = 1
PUT_IMAGE_ON_CLIPBOARD = """async () => {
  const canvas = new OffscreenCanvas(40, 30);
  canvas.getContext("2d").fillRect(0, 0, 20, 20);
  const image = await canvas.convertToBlob({ type: "image/png" });
  await navigator.clipboard.write([new ClipboardItem({ "image/png": image })]);
}"""


def drag(context: BrowserContext, page: Page, path: Path, target: Locator, *, drop: bool = True) -> None:
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box is not None
    session = context.new_cdp_session(page)
    for step in ["dragEnter", "dragOver", *(["drop"] if drop else [])]:
        session.send(
            "Input.dispatchDragEvent",
            {
                "type": step,
                "x": box["x"] + box["width"] / 2,
                "y": box["y"] + box["height"] / 2,
                "data": {"items": [], "files": [str(path)], "dragOperationsMask": COPY},
            },
        )


def copy_image(context: BrowserContext, page: Page) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(PUT_IMAGE_ON_CLIPBOARD)


def test_dropped_file_is_uploaded(document_form: Page, photo: Path) -> None:
    field = FileField(document_form, "file")

    drag(document_form.context, document_form, photo, field.element)

    field.expect_uploaded("photo.png")


def test_file_over_the_field_is_invited(document_form: Page, photo: Path) -> None:
    field = FileField(document_form, "file")
    invitation = field.element.get_by_text("Drop the file here")
    expect(invitation).to_be_hidden()

    drag(document_form.context, document_form, photo, field.element, drop=False)

    expect(invitation).to_be_visible()


def test_file_dropped_on_an_uploaded_one_replaces_it(
    document_form: Page, photo: Path, tmp_path: Path
) -> None:
    field = FileField(document_form, "file")
    drag(document_form.context, document_form, photo, field.element)
    field.expect_uploaded("photo.png")
    second = tmp_path / "second.txt"
    second.write_text("second")

    drag(document_form.context, document_form, second, field.element)

    field.expect_uploaded("second.txt")


def test_file_dropped_beside_the_field_does_not_replace_the_page(document_form: Page, photo: Path) -> None:
    url = document_form.url

    drag(document_form.context, document_form, photo, document_form.get_by_role("heading", level=1))

    field = FileField(document_form, "file")
    drag(document_form.context, document_form, photo, field.element)
    field.expect_uploaded("photo.png")
    assert document_form.url == url


def test_dropped_folder_is_no_file(document_form: Page, tmp_path: Path) -> None:
    field = FileField(document_form, "file")

    drag(document_form.context, document_form, tmp_path, field.element)

    field.expect_state("empty")


def test_image_pasted_into_the_focused_field_is_uploaded(document_form: Page) -> None:
    field = FileField(document_form, "file")
    copy_image(document_form.context, document_form)
    field.input.focus()

    document_form.keyboard.press("Control+V")

    field.expect_state("stored")
    assert field.value is not None
    assert field.value["name"].startswith("image-")
    assert field.value["name"].endswith(".png")


def test_image_pasted_under_the_pointer_is_uploaded_there(document_form: Page) -> None:
    cover = FileField(document_form, "cover")
    copy_image(document_form.context, document_form)
    document_form.get_by_role("heading", level=1).click()
    cover.element.hover()

    document_form.keyboard.press("Control+V")

    cover.expect_state("stored")
    assert cover.value is not None
    assert (cover.value["width"], cover.value["height"]) == (40, 30)
    assert FileField(document_form, "file").value is None


def test_image_pasted_into_a_text_is_not_taken(document_form: Page) -> None:
    copy_image(document_form.context, document_form)
    document_form.get_by_label("Description").focus()
    FileField(document_form, "cover").element.hover()

    document_form.keyboard.press("Control+V")

    for name in ("file", "cover"):
        FileField(document_form, name).expect_state("empty")
