"""Keys and passwords are found; placeholders, code and prose about passwords are left alone. All secrets here are made up."""

import time

import pytest

from sadari.task.credentials import find_credentials

RANDOM = "Zk3vQ9xT7bLw2RfN8mYc5HdJ4pGs6A"
FOUND = [
    (f"OPENAI_API_KEY=sk-proj-{RANDOM}", "api_key", f"sk-proj-{RANDOM}"),
    (f"키는 sk-ant-{RANDOM}입니다", "api_key", f"sk-ant-{RANDOM}"),
    ("AKIAIOSFODNN7EXAMPLE", "api_key", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "secret", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    (f"git clone https://ghp_{RANDOM}abcdef@github.com/x", "api_key", f"ghp_{RANDOM}abcdef"),
    ("AIza" + (RANDOM + RANDOM)[:35], "api_key", "AIza" + (RANDOM + RANDOM)[:35]),
    ("xoxb-123456789012-abcdefGHIJKL", "api_key", "xoxb-123456789012-abcdefGHIJKL"),
    (f"sk_live_{RANDOM}", "api_key", f"sk_live_{RANDOM}"),
    (f"hf_{RANDOM}", "api_key", f"hf_{RANDOM}"),
    ("ｓｋ-" + RANDOM, "api_key", "ｓｋ-" + RANDOM),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r", "jwt", None),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----", "private_key", None),
    ("postgres://shop:s3cr3tPw@db.internal/x", "password", "s3cr3tPw"),
    ("password=hunter2!", "password", "hunter2!"),
    ('{"password": "P@ssw0rd"}', "password", "P@ssw0rd"),
    ("비밀번호는 abcd1234! 입니다", "password", "abcd1234!"),
    ("비번: qwer1234", "password", "qwer1234"),
    ("임시 비밀번호는 tmp9912입니다", "password", "tmp9912"),
    ("the password is 'Spring2024'", "password", "Spring2024"),
    ("서비스 키: 3f2a9c8b7d6e5f4a3b2c1d0e9f8a7b6c", "secret", "3f2a9c8b7d6e5f4a3b2c1d0e9f8a7b6c"),
    ('SECRET_KEY = "09d25e094faa6ca2556c818166b7a956"', "secret", "09d25e094faa6ca2556c818166b7a956"),
]

LEFT_ALONE = [
    "비밀번호는 8자 이상이어야 합니다",
    "비밀번호가 뭐예요?",
    "비밀번호: ********",
    "패스워드는 Argon2나 Bcrypt로 바꿉니다",
    "password: str",
    "password = get_password(user)",
    "password=<your password>",
    "password=${DB_PASSWORD}",
    "password: your-password",
    "the password is required",
    "form.password == settings.password",
    "OPENAI_API_KEY=sk-...",
    "OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "questions/task-attached-to-a-different-loop-token",
    "token: OAuth2PasswordRequestForm",
    "docs_src/security/tutorial004_an_py310.py token",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "https://user@github.com/x",
    "postgres://user:password123456@",
    "http://localhost:8000/token",
    "-----BEGIN PUBLIC KEY-----",
    "토큰 수는 1024개입니다",
]


@pytest.mark.parametrize(("text", "kind", "piece"), FOUND)
def test_credentials_are_found_where_they_stand(text: str, kind: str, piece: str | None) -> None:
    found = find_credentials(text)
    assert [(finding.kind, finding.text) for finding in found] == [(kind, piece or text)]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_placeholders_and_prose_are_no_credentials(text: str) -> None:
    assert find_credentials(text) == []


def test_a_secret_is_shown_by_its_first_four_characters_and_its_length() -> None:
    finding = find_credentials("AKIAIOSFODNN7EXAMPLE")[0]
    assert finding.shown == "AKIA… (20 characters)"
    assert "IOSFODNN" not in repr(finding)


@pytest.mark.parametrize("piece", ["-----BEGIN PRIVATE KEY-----", "password=", "비밀번호는 ", "token ", "://a:", "eyJ.", "a1", " "])
def test_a_megabyte_takes_about_a_second(piece: str) -> None:
    text = piece * (10**6 // len(piece))
    find_credentials("warm")
    began = time.process_time()
    find_credentials(text)
    assert time.process_time() - began < 2.5  # measured: at most 0.6 s
