"""What people and models write where a value is missing, by language; case-folded, without punctuation around.

Each counts as a whole value only. What is also an ordinary answer ("no", "other", "anonymous", "0") is left out.
"""

import re

TABLE = r"""
any: n/a; #n/a; n.a; n. a; n / a; n\a; n-a; na; null; none; nil; nan; undefined; tbd; t.b.d; tba; t.b.a; tbc
any: fixme; xxx; xxxx; xxxxx; placeholder; lorem ipsum; string; n/k; n/d; n.d; n/v
English: unknown; not known; unspecified; not specified; not provided; none provided; not available
English: unavailable; not applicable; not given; none given; not stated; none stated; not mentioned
English: not found; none found; not listed; not indicated; not included; not disclosed; not present; not set
English: not determined; undetermined; not identified; unidentified; not visible; not legible; illegible
English: missing; blank; empty; no data; no value; no information; no info; not sure
English: no information available; no information provided; information not available; data not available
English: no data available; information not provided; to be determined; to be confirmed; to be announced
English: to be advised; to be provided; value not found; cannot be determined; could not be determined
English: unable to determine; unknown value; insufficient information; not enough information
German: unbekannt; k.a; k. a; k/a; keine angabe; keine angaben; ohne angabe; o.a; o. a; nicht angegeben
German: nicht bekannt; nicht verfügbar; nicht vorhanden; nicht genannt; nicht zutreffend; nicht spezifiziert
German: nicht ersichtlich; nicht ermittelbar; nicht lesbar; entfällt; fehlt; keine daten; keine information
German: keine informationen; leer; n.z; n. z; n.v; wird nachgereicht; noch offen
French: inconnu; inconnue; s/o; s.o; sans objet; non disponible; non renseigné; non renseignée; non spécifié
French: non spécifiée; non précisé; non précisée; non indiqué; non indiquée; non fourni; non fournie
French: non communiqué; non applicable; non mentionné; non mentionnée; non défini; aucun; aucune
French: aucune information; aucune donnée; indisponible; néant; vide; à déterminer; n.c
Spanish: desconocido; desconocida; no disponible; no especificado; no especificada; no proporcionado
Spanish: no proporcionada; no indicado; no indicada; no consta; no aplica; no aplicable; no se sabe
Spanish: no mencionado; no mencionada; no encontrado; no facilitado; sin datos; sin información; sin dato
Spanish: sin especificar; ninguno; ninguna; nulo; vacío; por determinar; por definir; s/d
Portuguese: desconhecido; desconhecida; não disponível; nao disponivel; não especificado; não informado
Portuguese: não informada; nao informado; não fornecido; não aplicável; não mencionado; não consta; nenhum
Portuguese: nenhuma; sem informação; sem dados; indisponível; a definir; vazio
Italian: sconosciuto; sconosciuta; non specificato; non specificata; non fornito; non fornita; ignoto
Italian: non indicato; non indicata; non applicabile; non pervenuto; nessuno; nessuna; non noto
Italian: non disponibile; nessun dato; da definire; da determinare; vuoto
Dutch: onbekend; n.v.t; nvt; niet van toepassing; niet beschikbaar; niet opgegeven; niet vermeld
Dutch: niet gespecificeerd; niet bekend; geen; geen gegevens; geen informatie; ontbreekt; leeg
Polish: nieznany; nieznana; nieznane; brak; brak danych; brak informacji; nie podano; nie dotyczy
Polish: niedostępne; niedostępny; nieokreślony; nie określono; b/d; b.d
Russian: не указано; не указан; не указана; не указаны; неизвестно; неизвестен; неизвестна; н/д; неизвестный
Russian: не определено; не предоставлено; не задано; не найдено; отсутствует; нет данных; не применимо
Russian: неприменимо; нет информации; недоступно; не доступно; пусто; н/п; не известно; уточняется
Russian: данные отсутствуют; информация отсутствует
Ukrainian: невідомо; невідомий; не вказано; не зазначено; немає; немає даних; відсутній; відсутнє; недоступно
Ukrainian: не визначено
Czech: neznámý; neznámé; neuvedeno; není uvedeno; nezadáno; není k dispozici; žádné; chybí
Scandinavian: okänd; okänt; ej angivet; ej angiven; ej tillgänglig; saknas; ingen; inget; ukendt; ukjent
Scandinavian: ikke angivet; ikke oppgitt; ikke tilgængelig; ikke tilgjengelig; ikke relevant; ej tillämpligt
Finnish: tuntematon; ei tiedossa; ei saatavilla; ei ilmoitettu; ei määritelty; puuttuu; ei mitään
Turkish: bilinmiyor; belirtilmemiş; belirtilmedi; mevcut değil; bilgi yok; boş; uygulanamaz
Japanese: 不明; 未知; なし; 無し; 該当なし; 該当無し; 未定; 未記入; 未記載; 記載なし; 情報なし; 未設定
Japanese: データなし; 未入力; 未指定; 指定なし; 未確認; 不詳; 空白; 不明です; ありません; 適用外; 特になし
Chinese: 未知; 不详; 不詳; 无; 無; 不明; 未提供; 未说明; 未說明; 未指定; 未注明; 不适用; 不適用; 没有; 沒有
Chinese: 暂无; 暫無; 暂无数据; 无数据; 未填写; 待定; 缺失; 未提及; 不清楚; 无法确定
Korean: 알 수 없음; 알수없음; 미상; 없음; 해당 없음; 해당없음; 미정; 미제공; 정보 없음; 정보없음; 미기재
Korean: 명시되지 않음; 데이터 없음; 불명; 미확인
Arabic: غير معروف; غير معروفة; غير محدد; غير محددة; غير متوفر; غير متوفرة; غير متاح; غير متاحة; لا يوجد
Arabic: لا شيء; لا ينطبق; غير مذكور; غير مذكورة; مجهول; بدون; لا تتوفر معلومات
Hebrew: לא ידוע; לא צוין; לא זמין; לא רלוונטי; אין; אין מידע
Hindi: अज्ञात; उपलब्ध नहीं; लागू नहीं; कोई नहीं; ज्ञात नहीं
"""
"""A line: the language, then its words between semicolons."""

WORDS = frozenset(word.strip() for line in TABLE.split("\n") for word in line.partition(":")[2].split(";")) - {""}

WHERE = re.compile(
    r" (?:in|on|from|by|within) (?:the |this |provided |given )*"
    r"(?:document|text|invoice|email|e-mail|message|ticket|input|source|context|conversation|content|customer|sender)$"
)
"""What may follow an English one: "not specified in the document"."""
