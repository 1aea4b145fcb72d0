/** A small C-CDA of our own, with one of everything that the seeded bugs spoil. All people and numbers are made up. */

const oid = '2.16.840.1.113883'
const snomed = `codeSystem="${oid}.6.96"`
const template = (root) => `<templateId root="${oid}.10.20.22.4.${root}" extension="2015-08-01"/>`
const section = (code, title, entries) =>
  `<component><section><code code="${code}" codeSystem="${oid}.6.1"/><title>${title}</title><text><paragraph ID="p${code}">${title} in words</paragraph></text>${entries.map((entry) => `<entry>${entry}</entry>`).join('')}</section></component>`
const id = (n) => `<id root="2.999.${n}"/>`
const text = (code) => `<text><reference value="#p${code}"/></text>`

const allergyOf = (n, code, since, { negated = '', act = '', system = `${oid}.6.88` } = {}) =>
  `<act classCode="ACT" moodCode="EVN"${act}>${template(30)}${id(`1.${n}`)}<code code="CONC" codeSystem="${oid}.5.6"/>${text('48765-2')}<statusCode code="active"/><effectiveTime><low value="20100101"/></effectiveTime><entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"${negated}>${template(7)}${id(`2.${n}`)}<code code="ASSERTION" codeSystem="${oid}.5.4"/><statusCode code="completed"/><effectiveTime><low value="${since}"/></effectiveTime><value xsi:type="CD" code="419199007" ${snomed}/><participant typeCode="CSM"><participantRole classCode="MANU"><playingEntity classCode="MMAT"><code code="${code}" codeSystem="${system}" displayName="substance ${code}"/></playingEntity></participantRole></participant></observation></entryRelationship></act>`

const problemOf = (n, code, since, more = '') =>
  `<act classCode="ACT" moodCode="EVN">${template(3)}${id(`3.${n}`)}<code code="CONC" codeSystem="${oid}.5.6"/><statusCode code="active"/><effectiveTime><low value="20110101"/></effectiveTime><entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"${more}>${template(4)}${id(`4.${n}`)}<code code="55607006" ${snomed}/>${text('11450-4')}<statusCode code="completed"/><effectiveTime><low value="${since}"/></effectiveTime><value xsi:type="CD" code="${code}" ${snomed} displayName="problem ${code}"/></observation></entryRelationship></act>`

const medication = `<substanceAdministration classCode="SBADM" moodCode="EVN">${template(16)}${id('5.1')}${text('10160-0')}<statusCode code="active"/><effectiveTime xsi:type="IVL_TS"><low value="2012"/></effectiveTime><effectiveTime xsi:type="PIVL_TS" operator="A"><period value="12" unit="h"/></effectiveTime><routeCode code="C38288" codeSystem="${oid}.3.26.1.1" displayName="oral"/><doseQuantity value="5" unit="mg"/><consumable><manufacturedProduct classCode="MANU">${template(23)}<manufacturedMaterial><code code="314076" codeSystem="${oid}.6.88" displayName="a tablet"/></manufacturedMaterial></manufacturedProduct></consumable></substanceAdministration>`

const resultOf = (n, code, value) =>
  `<component><observation classCode="OBS" moodCode="EVN">${template(2)}${id(`7.${n}`)}<code code="${code}" codeSystem="${oid}.6.1" displayName="test ${code}"/>${text('30954-2')}<statusCode code="completed"/><effectiveTime value="201506221030-0500"/>${value}<interpretationCode code="N" codeSystem="${oid}.5.83"/></observation></component>`

const results = `<organizer classCode="BATTERY" moodCode="EVN">${template(1)}${id('6.1')}<code code="24323-8" codeSystem="${oid}.6.1" displayName="panel"/><statusCode code="completed"/><effectiveTime><low value="20150622"/><high value="20150622"/></effectiveTime>${resultOf(1, '2345-7', '<value xsi:type="PQ" value="95" unit="mg/dL"/>')}${resultOf(2, '2823-3', '<value xsi:type="PQ" value="4.10" unit="mmol/L"/>')}</organizer>`

const plannedProcedure = `<procedure classCode="PROC" moodCode="RQO">${template(41)}${id('8.1')}<code code="73761001" ${snomed} displayName="a procedure"/>${text('18776-5')}<statusCode code="active"/><effectiveTime value="20300115"/></procedure>`

const immunization = `<substanceAdministration classCode="SBADM" moodCode="EVN" negationInd="false">${template(52)}${id('9.1')}${text('11369-6')}<statusCode code="completed"/><effectiveTime value="201409"/><consumable><manufacturedProduct classCode="MANU">${template(54)}<manufacturedMaterial><code code="140" codeSystem="${oid}.12.292" displayName="a vaccine"/><lotNumberText>L1</lotNumberText></manufacturedMaterial></manufacturedProduct></consumable></substanceAdministration>`

const body = [
  section('48765-2', 'Allergies', [
    allergyOf(1, '7980', '1998'),
    allergyOf(2, '2670', '200405', { negated: ' negationInd="true"' }),
    allergyOf(3, '777', '2001', { system: '2.999.77' }),
    allergyOf(4, '1191', '2002', { act: ' nullFlavor="NI"' }),
  ]),
  section('11450-4', 'Problems', [
    problemOf(1, '38341003', '20090214'),
    problemOf(2, '73211009', '2007', ' negationInd="true"'),
  ]),
  section('10160-0', 'Medications', [medication]),
  section('30954-2', 'Results', [results]),
  section('11369-6', 'Immunizations', [immunization]),
  section('18776-5', 'Plan', [plannedProcedure]),
]

const patient = (n, family) =>
  `<recordTarget><patientRole>${`<id root="2.999.50" extension="${n}"/>`}<addr><streetAddressLine>1 Example Street</streetAddressLine><city>Exampleton</city></addr><patient><name><given>Alba</given><family>${family}</family></name><administrativeGenderCode code="F" codeSystem="${oid}.5.1"/><birthTime value="19700509"/></patient></patientRole></recordTarget>`

export const sample = `<?xml version="1.0" encoding="UTF-8"?><ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><realmCode code="US"/><typeId root="${oid}.1.3" extension="POCD_HD000040"/><templateId root="${oid}.10.20.22.1.1" extension="2015-08-01"/><templateId root="${oid}.10.20.22.1.2" extension="2015-08-01"/><id root="2.999.9"/><code code="34133-9" codeSystem="${oid}.6.1"/><title>Sample</title><effectiveTime value="20160101"/><confidentialityCode code="N" codeSystem="${oid}.5.25"/>${patient(1, 'Sample')}<author><time value="20160101"/><assignedAuthor><id root="2.999.60"/><assignedPerson><name><given>Doc</given><family>Writer</family></name></assignedPerson></assignedAuthor></author><component><structuredBody>${body.join('')}</structuredBody></component></ClinicalDocument>`

export const sampleCcr = `<?xml version="1.0"?><ContinuityOfCareRecord xmlns="urn:astm-org:CCR"><CCRDocumentObjectID>S1</CCRDocumentObjectID><Version>V1.0</Version><DateTime><ExactDateTime>2012-01-01</ExactDateTime></DateTime><Patient><ActorID>A1</ActorID></Patient><Body><Problems><Problem><CCRDataObjectID>P1</CCRDataObjectID><DateTime><Type><Text>Onset</Text></Type><ExactDateTime>1999</ExactDateTime></DateTime><Type><Text>Diagnosis</Text></Type><Description><Text>Something lasting</Text><Code><Value>428.0</Value><CodingSystem>ICD9-CM</CodingSystem></Code></Description><Status><Text>Active</Text></Status></Problem></Problems><Results><Result><CCRDataObjectID>R1</CCRDataObjectID><DateTime><Type><Text>Collection start date</Text></Type><ExactDateTime>2011-05</ExactDateTime></DateTime><Description><Text>Blood</Text></Description><Test><CCRDataObjectID>T1</CCRDataObjectID><Description><Text>Glucose</Text><Code><Value>2345-7</Value><CodingSystem>LOINC</CodingSystem></Code></Description><TestResult><Value>95</Value><Units><Unit>mg/dL</Unit></Units></TestResult></Test></Result></Results></Body><Actors><Actor><ActorObjectID>A1</ActorObjectID><Person><Name><CurrentName><Given>Alba</Given><Family>Sample</Family></CurrentName></Name><DateOfBirth><ExactDateTime>1970-05-09</ExactDateTime></DateOfBirth></Person></Actor></Actors></ContinuityOfCareRecord>`
