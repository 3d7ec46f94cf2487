"""Where people live, as `privacy` looks for it: Korean road-name and lot addresses, flats, and English street addresses.

The names of provinces and districts are listed, since words that end like them are everywhere: 별도로 3일, 다시 2번.
"""

import re

from sadari.text.findings import Gate, Rule, always

_PROVINCES = (
    "서울(?:특별시|시)?|(?:부산|대구|인천|광주|대전|울산)(?:광역시|시)?|세종(?:특별자치시|시)?|경기(?:도)?|강원(?:특별자치도|도)?|"
    "충청[북남]도|충[북남]|전라[북남]도|전북(?:특별자치도)?|전남|경상[북남]도|경[북남]|제주(?:특별자치도|도)?"
)
_DISTRICTS = (
    "종로구 중구 용산구 성동구 광진구 동대문구 중랑구 성북구 강북구 도봉구 노원구 은평구 서대문구 마포구 양천구 강서구 "
    "구로구 금천구 영등포구 동작구 관악구 서초구 강남구 송파구 강동구 서구 동구 영도구 부산진구 동래구 남구 북구 해운대구 "
    "사하구 금정구 연제구 수영구 사상구 기장군 수성구 달서구 달성군 군위군 미추홀구 연수구 남동구 부평구 계양구 강화군 "
    "옹진군 광산구 유성구 대덕구 울주군 수원시 성남시 의정부시 안양시 부천시 광명시 평택시 동두천시 안산시 고양시 과천시 "
    "구리시 남양주시 오산시 시흥시 군포시 의왕시 하남시 용인시 파주시 이천시 안성시 김포시 화성시 광주시 양주시 포천시 "
    "여주시 연천군 가평군 양평군 춘천시 원주시 강릉시 동해시 태백시 속초시 삼척시 홍천군 횡성군 영월군 평창군 정선군 철원군 "
    "화천군 양구군 인제군 고성군 양양군 청주시 충주시 제천시 보은군 옥천군 영동군 증평군 진천군 괴산군 음성군 단양군 천안시 "
    "공주시 보령시 아산시 서산시 논산시 계룡시 당진시 금산군 부여군 서천군 청양군 홍성군 예산군 태안군 전주시 군산시 익산시 "
    "정읍시 남원시 김제시 완주군 진안군 무주군 장수군 임실군 순창군 고창군 부안군 목포시 여수시 순천시 나주시 광양시 담양군 "
    "곡성군 구례군 고흥군 보성군 화순군 장흥군 강진군 해남군 영암군 무안군 함평군 영광군 장성군 완도군 진도군 신안군 포항시 "
    "경주시 김천시 안동시 구미시 영주시 영천시 상주시 문경시 경산시 의성군 청송군 영양군 영덕군 청도군 고령군 성주군 칠곡군 "
    "예천군 봉화군 울진군 울릉군 창원시 진주시 통영시 사천시 김해시 밀양시 거제시 양산시 의령군 함안군 창녕군 남해군 하동군 "
    "산청군 함양군 거창군 합천군 제주시 서귀포시 장안구 권선구 팔달구 영통구 수정구 중원구 분당구 만안구 동안구 상록구 "
    "단원구 덕양구 일산동구 일산서구 처인구 기흥구 수지구 상당구 서원구 흥덕구 청원구 동남구 서북구 완산구 덕진구 의창구 "
    "성산구 마산합포구 마산회원구 진해구 원미구 소사구 오정구"
)
_NO_UNIT = (  # three days, five pieces: no house number
    r"(?![0-9%가]|[.,][0-9]|[ ]?(?:개|원|일(?![가-힣])|시간|시(?![가-힣])|명|년|월|분(?![가-힣])|주(?![가-힣])|회|차|배|위|점|"
    r"호선|번째|km|m\b|만|천|억|가지))"
)


def address_rules() -> tuple[Rule, ...]:
    """Addresses with a known province or district and a street or lot number; flats; English streets."""
    district = "|".join(_DISTRICTS.split())
    # An area is a province with districts, a province alone, or districts alone: at most three words that all are known names.
    area = rf"(?<![가-힣])(?:(?:{_PROVINCES})[ ,]{{1,2}}(?:(?:{district})[ ,]{{1,2}}){{0,2}}|(?:(?:{district})[ ,]{{1,2}}){{1,2}})"
    town = r"(?:[가-힣]{1,5}[읍면][ ]{1,2})?"
    road = (
        r"[가-힣][가-힣0-9.]{0,11}(?:대로|로|"
        r"길)(?:[ ]?[0-9]{1,4}[가-다]?번?[가나다]?길)?[ ]{0,2}(?:지하[ ]?)?[0-9]{1,5}(?:-[0-9]{1,4})?"
    )
    lot = r"[가-힣][가-힣0-9.]{0,7}[동읍면리가](?:[ ]{1,2}[가-힣]{1,6}리)?[ ]{1,2}(?:산[ ]?)?[0-9]{1,5}(?:-[0-9]{1,4})?(?:번지)?"
    storey = r"(?:지하[ ]?)?[0-9]{1,3}층(?:[ ]?[0-9]{1,4}호)?"
    flat = (
        rf"(?:(?:[0-9A-Z]{{1,4}}|[가-하])동[ ]{{0,2}}(?:{storey}[ ]{{0,2}})?[0-9]{{1,5}}호|[0-9]{{1,5}}호(?![선기차봉])|{storey})"
    )
    house = r"(?:[가-힣A-Za-z0-9]{1,16}(?:[ ][0-9]차)?[ ]{1,2})?"
    beside = r"(?:[ ]{0,2}\([가-힣0-9A-Za-z ,.]{1,40}\))?"
    street = r"[A-Z][A-Za-z'.]{1,20}(?:[ ][A-Z][A-Za-z'.]{1,20}){0,2}"
    ways = "(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Highway|Hwy)"
    roman = (
        r"[0-9]{1,5}(?:-[0-9]{1,4})?,? [A-Z][a-z]+(?:-?(?:daero|ro|gil)) ?[0-9]{0,3}(?:beon)?(?:-gil)?(?:,? "
        r"[A-Z][a-z]+(?:-[a-z]{2,3})?){1,3}"
    )
    return (
        Rule(
            re.compile(rf"{area}{town}(?:{road}|{lot}){_NO_UNIT}{beside}(?:,?[ ]{{0,2}}{house}{flat})?{beside}"),
            always("address"),
            Gate(re.compile(r"[로길동읍면리가][ ]{0,2}(?:지하[ ]?|산[ ]?)?[0-9]"), before=48, after=90),
        ),
        Rule(
            re.compile(r"[0-9](?<![0-9A-Za-z가-힣-].)[0-9]{0,3}동[ ]{0,2}[0-9]{2,5}호(?![선기차봉])"),
            always("address", "probable"),
            Gate(re.compile(r"동[ ]{0,2}[0-9]{2,5}호"), before=6, after=2),
        ),
        Rule(
            re.compile(
                rf"[0-9](?<![0-9A-Za-z.-].)[0-9]{{0,4}} {street} {ways}\b\.?(?:,? (?:Apt|Suite|Unit|#)\.? ?[0-9A-Za-z]{{1,6}})?"
                rf"(?:, [A-Z][A-Za-z .]{{1,30}}, [A-Z]{{2}}(?: [0-9]{{5}})?)?|{roman}"
            ),
            always("address", "probable"),
            Gate(re.compile(rf" {ways}\b|(?:daero|ro|gil)[ ,]"), before=60, after=80),
        ),
    )
