"""A browser, a merchant with a little history, and a person signed in to its admin."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.admin.conftest import PASSWORD, Regulars, make_regulars, person
from tests.fixtures import Shop, make_shop


@pytest.fixture(scope="package")
def browser(chromium_path: str) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread. Django's guard against the database beside a loop is for async code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(
            executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def busy_shop(transactional_db: None) -> Shop:
    return make_shop("Corner Shop")


@pytest.fixture
def regulars(busy_shop: Shop) -> Regulars:
    return make_regulars(busy_shop)


@pytest.fixture
def page(browser: Any, live_server: Any) -> Iterator[Page]:
    """A page that fails its test for anything that the browser refused or could not run."""
    context: BrowserContext = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    wrong: list[str] = []
    page.on(
        "console", lambda message: message.type == "error" and wrong.append(f"{page.url}: {message.text}")
    )
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.set_default_timeout(15_000)
    yield page
    context.close()
    assert wrong == []


def fits_its_window(page: Page) -> bool:
    """Whether nothing of the page is wider than its window. Waits for a page that is still coming."""
    page.wait_for_load_state()
    return bool(page.locator("html").evaluate("html => html.scrollWidth <= window.innerWidth"))


def sign_in(page: Page, shop: Shop, role: str) -> None:
    user = person(shop, role)
    user.is_staff = True
    user.set_password(PASSWORD)
    user.save()
    page.goto("/admin/")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
