"""Personal data is found in the spellings that people use, and look-alikes are left alone."""

import time
import unicodedata
from pathlib import Path

import pytest

from sadari.task.privacy import find_personal, value_of

# Numbers with a right check digit: resident and business ones are the examples of python-stdnum and of the tax service's rule,
# the corporate one that of the registry's rule (28 -> check digit 2), cards are test numbers of their issuers.
FOUND = [
    ("주민번호는 900101-1234568입니다", "resident", "900101-1234568"),
    ("주민등록번호: 9001011234568", "resident", "9001011234568"),
    ("900101 - 1234568", "resident", "900101 - 1234568"),
    ("주민번호 900101 1234568", "resident", "900101 1234568"),
    ("201015-3123456", "resident", "201015-3123456"),
    ("외국인등록번호 971013-9019902", "resident", "971013-9019902"),
    ("외국인 등록번호는 850515-6345678", "resident", "850515-6345678"),
    ("９００１０１－１２３４５６８", "resident", "９００１０１－１２３４５６８"),
    ("900101–1234568", "resident", "900101–1234568"),
    ("9001\u200b01-12\u200b34568", "resident", "9001\u200b01-12\u200b34568"),
    ("my SSN is 536-22-8726", "resident", "536-22-8726"),
    ("사업자등록번호 116-82-00276", "business", "116-82-00276"),
    ("134-86-72683", "business", "134-86-72683"),
    ("사업자번호 1348672683", "business", "1348672683"),
    ("사업자: 134 86 72683", "business", "134 86 72683"),
    ("법인등록번호 110111-0062432", "corporate", "110111-0062432"),
    ("카드번호 4111-1111-1111-1111", "card", "4111-1111-1111-1111"),
    ("5555 5555 5555 4444", "card", "5555 5555 5555 4444"),
    ("결제 카드 4242424242424242로", "card", "4242424242424242"),
    ("Amex 3782-822463-10005", "card", "3782-822463-10005"),
    ("４１１１－１１１１－１１１１－１１１１", "card", "４１１１－１１１１－１１１１－１１１１"),
    ("카드번호는 1234-5678-9012-3456이에요", "card", "1234-5678-9012-3456"),
    ("010-1234-5678", "phone", "010-1234-5678"),
    ("제 번호는 01012345678이에요", "phone", "01012345678"),
    ("010 1234 5678로 문자 주세요", "phone", "010 1234 5678"),
    ("010.1234.5678", "phone", "010.1234.5678"),
    ("(010)1234-5678", "phone", "(010)1234-5678"),
    ("010·1234·5678", "phone", "010·1234·5678"),
    ("０１０－１２３４－５６７８", "phone", "０１０－１２３４－５６７８"),
    ("010-\u200b1234-\u200b5678", "phone", "010-\u200b1234-\u200b5678"),
    ("011-234-5678", "phone", "011-234-5678"),
    ("+82 10-1234-5678", "phone", "+82 10-1234-5678"),
    ("+82-(0)10-1234-5678", "phone", "+82-(0)10-1234-5678"),
    ("+821012345678", "phone", "+821012345678"),
    ("82-10-1234-5678", "phone", "82-10-1234-5678"),
    ("02-555-1234", "phone", "02-555-1234"),
    ("02)3456-7890", "phone", "02)3456-7890"),
    ("(031) 234-5678", "phone", "(031) 234-5678"),
    ("전화 0312345678", "phone", "0312345678"),
    ("070-4321-1234", "phone", "070-4321-1234"),
    ("안심번호 0504-1234-5678", "phone", "0504-1234-5678"),
    ("공일공 일이삼사 오육칠팔", "phone", "공일공 일이삼사 오육칠팔"),
    ("+1 415-555-2671", "phone", "+1 415-555-2671"),
    ("call (415) 555-2671", "phone", "(415) 555-2671"),
    ("hong.gildong@naver.com으로 보내 주세요", "email", "hong.gildong@naver.com"),
    ("메일:hong+shop@mail.co.kr", "email", "hong+shop@mail.co.kr"),
    ("ｈｏｎｇ＠ｎａｖｅｒ．ｃｏｍ", "email", "ｈｏｎｇ＠ｎａｖｅｒ．ｃｏｍ"),
    ("hong(at)naver.com", "email", "hong(at)naver.com"),
    ("hong 골뱅이 naver.com", "email", "hong 골뱅이 naver.com"),
    ("privacy@mall.example", "email", "privacy@mall.example"),
    ("계좌번호: 110-123-456789", "account", "110-123-456789"),
    ("국민은행 123456-01-123456", "account", "123456-01-123456"),
    ("신한 110123456789로 환불", "account", "110123456789"),
    ("카카오뱅크 3333-01-1234567", "account", "3333-01-1234567"),
    ("환불 계좌 농협 301 0123 4567 81", "account", "301 0123 4567 81"),
    ("여권번호 M12345678", "passport", "M12345678"),
    ("passport no. M123A4567", "passport", "M123A4567"),
    ("운전면허 11-22-123456-78", "licence", "11-22-123456-78"),
    ("면허번호 112212345678", "licence", "112212345678"),
    ("서울특별시 강남구 테헤란로 123, 101동 1502호", "address", "서울특별시 강남구 테헤란로 123, 101동 1502호"),
    ("서울시 강남구 역삼동 736-1번지로", "address", "서울시 강남구 역삼동 736-1번지"),
    ("경기도 성남시 분당구 정자동 178-1", "address", "경기도 성남시 분당구 정자동 178-1"),
    ("부산 해운대구 센텀중앙로 97 12층", "address", "부산 해운대구 센텀중앙로 97 12층"),
    ("마포구 월드컵북로21길 12-3 (서교동)", "address", "마포구 월드컵북로21길 12-3 (서교동)"),
    ("강원도 춘천시 신북읍 천전리 123", "address", "강원도 춘천시 신북읍 천전리 123"),
    ("세종특별자치시 한누리대로 402", "address", "세종특별자치시 한누리대로 402"),
    ("제주시 연동 312-1", "address", "제주시 연동 312-1"),
    (unicodedata.normalize("NFD", "서초구 서초대로 219"), "address", unicodedata.normalize("NFD", "서초구 서초대로 219")),
    ("저희 집은 103동 1201호예요", "address", "103동 1201호"),
    ("742 Evergreen Terrace Road", "address", "742 Evergreen Terrace Road"),
    ("접속 IP: 203.0.113.7", "ip", "203.0.113.7"),
    ("61.73.210.44 에서 접속", "ip", "61.73.210.44"),
    ("2404:6800:4004:80a::200e", "ip", "2404:6800:4004:80a::200e"),
    ("이름: 홍길동", "name", "홍길동"),
    ("성명 : 김 철 수", "name", "김 철 수"),
    ("예금주 박영희", "name", "박영희"),
    ("받는 사람: 남궁민수님", "name", "남궁민수"),
    ("제 이름은 이순신입니다", "name", "이순신"),
    (unicodedata.normalize("NFD", "성함: 홍길동"), "name", unicodedata.normalize("NFD", "홍길동")),
    ("Name: John Smith", "name", "John Smith"),
    ("My name is Jane Doe.", "name", "Jane Doe"),
]

LEFT_ALONE = [
    "주문번호 20240315-0001234",
    "주문번호 240315-1234567 취소해 주세요",
    "주문 2024031512345678 어디까지 왔나요",
    "송장번호 1234-5678-9012",
    "운송장 640012345678",
    "2024-03-15 12:30:45",
    "2024.03.15 ~ 2024.12.31",
    "20240315123045",
    "timestamp 1704067200000",
    "1718000000123",
    "가격은 1,234,567원입니다",
    "총 12,000,000,000원",
    "1588-1234로 전화하세요",
    "고객센터 1544-0000",
    "080-123-4567",
    "고객센터 대표 전화번호는 02-000-4100입니다",
    "버전 1.2.3.4로 올렸습니다",
    "v10.20.30.40",
    "3.2.1.4절을 보세요",
    "127.0.0.1:8000",
    "0.0.0.0",
    "서버는 192.168.0.1",
    "제90·96·97·98대 총리",
    "ISBN 978-89-6848-123-4",
    "9788968481234",
    "바코드 8801043036061",
    "문서번호 제02-2024-0315호",
    "KS X 1001:2004",
    "12345678901234567890123",
    "0.123456789012345",
    "3.14159265358979",
    "1:2:3:4",
    "10:20:30",
    "std::vector<a::b::c>",
    "00:1A:2B:3C:4D:5E",
    "icon@2x.png",
    "git@github.com:tiangolo/fastapi.git",
    "npm install react@18.2.0",
    "@app.get('/items')",
    "postgres://user:secret@db.internal.net/x",
    "트위터 @honggildong",
    "별도로 3일 걸립니다",
    "추가로 5개 더 주세요",
    "서울에서 별도로 3일",
    "다시 새로 2번 시도하세요",
    "강남구에서 새로 3개 열었습니다",
    "광주에서 동구로 2시간",
    "경기도 화성시 인구는 100만",
    "서울 지하철 2호선 3번 출구",
    "대구 중구 동인동 1가",
    "1동 2호선",
    "이름: 이메일과 같습니다",
    "이름을 입력하세요",
    "이름은 바꿀 수 없습니다",
    "이름: 필수",
    "성명: 한글로 적어 주세요",
    "받는 분 주소를 바꿔 주세요",
    "담당자: 없음",
    "Name: Issue Manager",
    "name: str",
    "file name = Test Results",
    "여권을 잃어버렸어요",
    "모델명 M12345678",
    "계좌 이체는 2024-03-15까지",
    "계좌로 1,000,000원 입금",
    "국민은행 1588-9999",
    "카드 혜택은 4,000-5,000원",
    "4111-1111-1111-1112 쿠폰",
    "1234-5678-9012-3456 상품권",
    "사업자 123-45-6789",
    "우편번호 06234",
    "2+2=4, 10-20-30",
    "8자리 12345678",
    "p. 123-456",
    "좌표 37.5665, 126.9780",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "550e8400-e29b-41d4-a716-446655440000",
]


@pytest.mark.parametrize(("text", "kind", "piece"), FOUND)
def test_personal_data_is_found_where_it_stands(text: str, kind: str, piece: str) -> None:
    found = find_personal(text)
    assert [(finding.kind, finding.text) for finding in found] == [(kind, piece)]
    assert text[found[0].start : found[0].end] == piece


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_only_looks_like_personal_data_is_left_alone(text: str) -> None:
    assert find_personal(text) == []


@pytest.mark.parametrize(
    ("text", "certainty"),
    [
        ("900101-1234568", "sure"),  # 2·9+3·0+4·0+5·1+6·0+7·1+8·1+9·2+2·3+3·4+4·5+5·6 = 124; (11 - 124 % 11) % 10 = 8
        ("900101-1234567", "probable"),  # a wrong check digit; numbers issued since October 2020 have none
        ("134-86-72683", "sure"),
        ("사업자 134-86-72684", "probable"),
        ("4242-4242-4242-4242", "sure"),
        ("4242424242424242", "probable"),
        ("hong@example.com", "probable"),
        ("hong@naver.com", "sure"),
    ],
)
def test_a_right_check_digit_makes_a_number_sure(text: str, certainty: str) -> None:
    assert [finding.certainty for finding in find_personal(text)] == [certainty]


def test_a_line_with_much_personal_data_gives_each_piece_once() -> None:
    text = "이름: 홍길동, 연락처: 010-1234-5678, 이메일: hong@naver.com, 주소: 서울 강남구 테헤란로 123, 계좌: 신한 110-123-456789"
    assert [finding.kind for finding in find_personal(text)] == ["name", "phone", "email", "address", "account"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("010-1234-5678", "+82 10 1234 5678"),
        ("010-1234-5678", "０１０１２３４５６７８"),
        ("010-1234-5678", "공일공 일이삼사 오육칠팔"),
        ("Hong@Naver.com", "hong(at)naver.com"),
        ("서울 강남구 테헤란로 123", "서울  강남구 테헤란로 123"),
        ("이름: 김철수", "이름: 김 철 수"),
    ],
)
def test_spellings_of_one_value_are_one_value(one: str, other: str) -> None:
    assert value_of(find_personal(one)[0]) == value_of(find_personal(other)[0])


def test_a_finding_never_prints_the_value() -> None:
    finding = find_personal("900101-1234568")[0]
    assert finding.shown == "900… (14 characters)"
    assert "1234568" not in repr(finding)


@pytest.mark.parametrize(
    "piece",
    ["1", "1-", "1 ", "a@", "a.", "(", " ", "이름: ", "강남구 ", "가", "ab:", "1.1.", "\u200b1", "강남구 가로", "12 Ab Cd "],
)
def test_a_megabyte_takes_about_a_second(piece: str) -> None:
    text = piece * (10**6 // len(piece))
    find_personal("warm 1")
    began = time.process_time()
    find_personal(text)
    assert time.process_time() - began < 2.5  # measured: at most 0.9 s; a busy machine takes longer


def test_ordinary_questions_hold_no_personal_data(shared_data: Path) -> None:
    import csv

    with (shared_data / "banking77" / "train.csv").open(encoding="utf-8") as file:
        rows = [row[0] for row in csv.reader(file)]
    assert [text for text in rows[:4000] if find_personal(text)] == []
